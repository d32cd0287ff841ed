"""The coverage curve: its end, its order, and what is answerable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.score.coverage import answerable, coverage_curve, thinned

ANSWERS = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.7, 0.9, 1.0]), st.booleans()), min_size=1, max_size=50)


@given(ANSWERS)
def test_curve_ends_with_everything(answers: list[tuple[float, bool]]) -> None:
    """The last point answers all with the accuracy of all; each point is what its confidence as a threshold gives."""
    confidence, right = (np.array(column) for column in zip(*answers, strict=True))
    curve = coverage_curve(confidence, right)
    assert curve[-1].coverage == 1
    assert curve[-1].accuracy == pytest.approx(right.mean())
    for point in curve:
        taken = confidence >= point.confidence
        assert (point.coverage, point.accuracy) == (pytest.approx(taken.mean()), pytest.approx(right[taken].mean()))


def test_answerable_takes_the_largest_coverage() -> None:
    """A curve may dip and recover: the largest share that reaches the accuracy counts."""
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    curve = coverage_curve(confidence, np.array([True, False, True, True, False]))
    best = answerable(curve, 0.75).best
    assert best is not None
    assert (best.coverage, best.accuracy, best.confidence) == (0.8, 0.75, 0.6)
    assert answerable(curve, 1.0).best == curve[0]


def test_nothing_is_answerable() -> None:
    """Where no threshold reaches the accuracy there is no point."""
    assert answerable(coverage_curve(np.array([0.9, 0.8]), np.array([False, True])), 0.9).best is None


def test_thinned_keeps_both_ends() -> None:
    """A long curve is thinned to 100 points at most, a short one stays."""
    random = np.random.default_rng(0)
    curve = coverage_curve(random.random(3000), random.random(3000) < 0.9)
    short = thinned(curve)
    assert len(curve) == 3000
    assert 90 <= len(short) <= 100
    assert (short[0], short[-1]) == (curve[0], curve[-1])
    assert thinned(short) == short
