"""Figures of refusals."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from nanosmith.core.prediction import Prediction
from nanosmith.score.scope import auroc, curve, recall_at, scope_figures


def answer(score: float | None, best: float = 0.9) -> Prediction:
    far = None if score is None else SimpleNamespace(value=score)
    return Prediction("a", best, ("a", "b"), (best, 1 - best), "fake", far=far)


def test_auroc_is_the_share_of_ordered_pairs():
    """Of the six pairs four are in order and one is a tie."""
    assert auroc(np.array([0.1, 0.2, 0.6]), np.array([0.6, 0.15])) == pytest.approx((2.5 + 1) / 6)


def test_auroc_equals_scikit_learns():
    """With many ties too."""
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    near, far = random.integers(0, 20, 300) / 20, random.integers(5, 25, 70) / 20
    wanted = roc_auc_score(np.repeat([0, 1], [300, 70]), np.concatenate([near, far]))
    assert auroc(near, far) == pytest.approx(wanted)


def test_recall_at_keeps_at_least_the_share_of_in_scope_examples():
    """The threshold is the 95th of a hundred scores, which itself is kept."""
    near = np.arange(100) / 100
    assert recall_at(near, np.array([0.94, 0.95, 0.2]), 0.95) == pytest.approx(1 / 3)


def test_curve_never_falls():
    """The more in-scope examples are refused, the more of the others are."""
    random = np.random.default_rng(1)
    found = curve(random.normal(0, 1, 500), random.normal(1, 1, 300))
    assert np.all(np.diff([point.outside for point in found]) >= 0)
    assert found[0].inside == 0


def test_figures_at_the_threshold_of_the_predictor():
    """A score of 0.5 and more counts as refused."""
    inside = [answer(0.1), answer(0.2), answer(0.7), answer(0.3)]
    found = scope_figures(inside, np.array([True, False, True, True]), [answer(0.5), answer(0.4), answer(0.9)])
    assert (found.inside, found.outside, found.by) == (4, 3, "score")
    assert found.refused == 0.25
    assert found.answered_accuracy == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)


def test_predictor_without_a_score_is_judged_by_its_highest_probability():
    """The order of unsure answers is measured, a threshold is not."""
    found = scope_figures([answer(None, 0.9), answer(None, 0.8)], np.array([True, True]), [answer(None, 0.6)])
    assert (found.by, found.auroc, found.recall, found.refused) == ("confidence", 1.0, None, None)


def test_nothing_is_told_without_score_and_outside_examples():
    """An old bundle on an ordinary test file has no such figures."""
    assert scope_figures([answer(None)], np.array([True]), []) is None


def test_refusals_are_told_without_outside_examples():
    """On an ordinary test file the report tells how many in-scope examples are refused."""
    found = scope_figures([answer(0.6), answer(0.1)], np.array([True, True]), [])
    assert (found.refused, found.auroc, found.curve) == (0.5, None, ())
