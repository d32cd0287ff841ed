"""The score for "none of these" at serving."""

from __future__ import annotations

import numpy as np
import pytest

from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.open import open_predictor
from nanosmith.predict.scope import features, figure
from nanosmith.store.bundles import open_bundle
from nanosmith.testing.tiny import tiny_bundle, tiny_scope

QUANTILES = tuple(np.linspace(-3, 3, 21).tolist())


def test_figure_is_half_where_just_the_tolerated_share_lies_above():
    """With a tolerance of 10 %, the 90 % quantile of in-scope raw scores is the threshold."""
    assert figure(QUANTILES[18], QUANTILES, 10_000, 0.1) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("refuse", [0.001, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("examples", [1, 20, 10_000])
def test_figure_grows_with_the_raw_score_and_stays_in_its_bounds(refuse, examples):
    """Order is kept far beyond both ends of the held-out scores, and no figure leaves [0, 1]."""
    found = [figure(raw, QUANTILES, examples, refuse) for raw in np.linspace(-12, 12, 97)]
    assert all(np.diff(found) > 0)
    assert 0 <= found[0] < found[-1] <= 1


def test_figure_of_equal_held_out_scores_is_still_defined():
    """Where all held-out scores are the same, a higher one is refused and a lower one is not."""
    assert figure(2.0, (1.0, 1.0), 100, 0.05) > 0.5 > figure(0.5, (1.0, 1.0), 100, 0.05)


def test_features_are_distances_and_the_energy():
    """Distance from the nearest class, -log of the highest probability, and how much nearer the nearest outside example
    is than the nearest class."""
    distances = {"square": np.eye(2), "linear": -2 * np.eye(2), "constant": np.ones(2)}
    tensors = {**distances, "outside": np.array([[0, -1.0]]), "classes": np.eye(2)}
    found = features(tensors, np.array([[1.0, 0], [0, -1]]), np.array([[0.0, 0], [1, 3]]))
    assert found == pytest.approx(np.array([[0, np.log(2), -1], [2, np.log(1 + np.exp(-2)), 1]]))


def test_bundle_with_a_scope_refuses_what_is_like_none_of_its_labels(tmp_path):
    """The answer is the label for it, the best label stays the value."""
    predictor = open_predictor(tiny_bundle(tmp_path / "b", scope=tiny_scope("other")))
    near, far = predictor.predict(["refund", "what is love"])
    assert (near.answer, near.refused) == ("refund", False)
    assert (far.answer, far.refused, far.value in predictor.task.labels) == ("other", True, True)
    assert 0 <= near.out_of_scope < 0.5 <= far.out_of_scope <= 1


def test_bundle_whose_scope_has_no_label_answers_as_before(tmp_path):
    """The flag is set, the answer is still the best label."""
    predictor = open_predictor(tiny_bundle(tmp_path / "b", scope=tiny_scope()))
    answer = predictor.predict(["what is love"])[0]
    assert answer.refused
    assert answer.answer == answer.value


def test_bundle_without_a_scope_gives_no_score(tmp_path):
    """Bundles of earlier versions answer as they did."""
    answer = open_predictor(tiny_bundle(tmp_path / "b")).predict(["what is love"])[0]
    assert answer.out_of_scope is None
    assert not answer.refused


def test_logits_and_vector_together_are_those_of_each_alone(tmp_path):
    """`both` gives what `logits` and `vector` give."""
    predictor = open_predictor(open_bundle(tiny_bundle(tmp_path / "b").path))
    assert isinstance(predictor, LocalPredictor)
    ids, _ = predictor.token_ids("refund login")
    logits, vector = predictor.both(ids)
    assert np.array_equal(logits, predictor.logits(ids))
    assert np.array_equal(vector, predictor.vector(ids))
