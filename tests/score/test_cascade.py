"""The threshold of a cascade, and what is said of its loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.score.cascade import NEVER, choose_threshold, measure_stages

ROWS = st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.7, 0.9, 0.99]), st.booleans(), st.booleans()), min_size=1)


def arrays(rows: list[tuple[float, bool, bool]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    confidence, quick, thorough = zip(*rows)
    return np.array(confidence, dtype=np.float32), np.array(quick), np.array(thorough)


@given(rows=ROWS, max_loss=st.floats(0, 50))
def test_the_smallest_that_is_allowed(rows: list[tuple[float, bool, bool]], max_loss: float) -> None:
    """Against trying all of them: no smaller one keeps its loss and a standard error under the limit."""
    confidence, quick, thorough = arrays(rows)
    allowed = [NEVER]
    for threshold in set(confidence.tolist()):
        taken = confidence >= threshold
        lost, won = (taken & thorough & ~quick).sum(), (taken & quick & ~thorough).sum()
        if 100 * (lost - won + math.sqrt(lost + won + 1)) / len(rows) <= max_loss:
            allowed.append(threshold)
    assert choose_threshold(confidence, quick, thorough, max_loss) == pytest.approx(min(allowed))


def test_stages_as_they_are() -> None:
    """A quick model that is right where it is sure: it answers these, at no loss."""
    random = np.random.default_rng(0)
    confidence = random.random(2_000).astype(np.float32)
    quick, thorough = confidence > 0.3, np.ones(2_000, dtype=bool)
    found = measure_stages(confidence, quick, thorough, 0.3)
    assert found.threshold == pytest.approx(0.3, abs=0.01)
    assert found.share == pytest.approx(0.7, abs=0.03)
    assert (found.n, found.thorough_accuracy) == (2_000, 1.0)
    assert found.quick_accuracy == pytest.approx(quick.mean())
    assert found.loss_interval[0] < found.loss_points < found.loss_interval[1] < 1
    assert found.accuracy >= 0.995


def test_the_loss_is_that_of_examples_which_chose_nothing() -> None:
    """Where confidence says nothing, the chosen threshold looks better than it is, and the told loss does not."""
    losses, looks = [], []
    for seed in range(20):
        random = np.random.default_rng(seed)
        confidence = random.random(400).astype(np.float32)
        quick, thorough = random.random(400) < 0.85, random.random(400) < 0.9
        found = measure_stages(confidence, quick, thorough, 2.0, seed=seed)
        losses.append(found.loss_points)
        looks.append(100 * (found.thorough_accuracy - found.accuracy))
    assert np.mean(losses) > np.mean(looks)


def test_a_quick_model_that_is_never_good_enough() -> None:
    """It answers nothing, and costs nothing."""
    found = measure_stages(np.full(100, 0.9), np.zeros(100, dtype=bool), np.ones(100, dtype=bool), 0.3)
    assert (found.threshold, found.share, found.loss_points, found.accuracy) == (NEVER, 0.0, 0.0, 1.0)


def test_one_example() -> None:
    """Too few to allow anything, and no error."""
    found = measure_stages(np.array([0.9]), np.array([True]), np.array([True]), 0.3)
    assert (found.threshold, found.n) == (NEVER, 1)
