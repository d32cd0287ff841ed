"""Parity between the logits of a model and of its export."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanosmith.score.parity import compare


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_model_agrees_with_itself(seed: int, several: bool) -> None:
    """Equal logits agree everywhere and lose nothing, for choice and for labels."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(20, 4)).astype(np.float32)
    wanted = random.random((20, 4)) < 0.5 if several else random.integers(0, 4, 20)
    parity = compare(logits, logits, wanted)
    assert (parity.agreement, parity.loss_points, parity.max_abs, parity.mean_abs) == (1, 0, 0, 0)
    assert (parity.n, parity.changed, parity.not_finite) == (20, (), 0)


def test_changed_answers_of_choice() -> None:
    """A right answer that turns wrong costs its share in points; the differences are those of the logits."""
    reference = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 5.0]])
    candidate = reference.copy()
    candidate[1] = [1.5, 1.0]
    parity = compare(reference, candidate, np.array([0, 1, 0, 0]))
    assert (parity.reference_accuracy, parity.candidate_accuracy) == (0.75, 0.5)
    assert parity.loss_points == pytest.approx(25)
    assert (parity.agreement, parity.changed) == (0.75, (1,))
    assert (parity.max_abs, parity.mean_abs) == (pytest.approx(1.5), pytest.approx(1.5 / 8))


def test_changed_answers_of_labels() -> None:
    """A label is answered above 0; one flipped label changes the whole set."""
    reference = np.array([[1.0, -1.0], [1.0, 1.0]])
    candidate = np.array([[1.0, -1.0], [1.0, -0.1]])
    parity = compare(reference, candidate, np.array([[True, False], [True, False]]))
    assert (parity.reference_accuracy, parity.candidate_accuracy, parity.loss_points) == (0.5, 1.0, -50)
    assert parity.changed == (1,)


def test_logits_that_are_not_finite_count_as_wrong() -> None:
    """A collapsed export loses the points of its broken examples, and its figures stay numbers."""
    reference = np.eye(3)
    candidate = np.eye(3)
    candidate[0, 0] = np.nan
    parity = compare(reference, candidate, np.arange(3))
    assert parity.loss_points == pytest.approx(100 / 3)
    assert (parity.not_finite, parity.changed, parity.max_abs) == (1, (0,), 0)


def test_at_most_twenty_changed_examples_are_named() -> None:
    """The first 20 positions are kept."""
    logits = np.tile([1.0, 0.0], (50, 1))
    assert compare(logits, -logits, np.zeros(50, dtype=int)).changed == tuple(range(20))


def test_shapes_must_fit() -> None:
    """Logits of different examples cannot be compared."""
    with pytest.raises(ValueError, match="shapes do not fit"):
        compare(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros(2, dtype=int))
    with pytest.raises(ValueError, match="shapes do not fit"):
        compare(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, dtype=int))
