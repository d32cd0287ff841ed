"""Predictions."""

from __future__ import annotations

from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.testing import FakePredictor


def test_top_is_sorted_and_cut() -> None:
    """Most probable first; asking for more than there is gives all."""
    answer = Prediction("b", 0.7, ("a", "b", "c"), (0.1, 0.7, 0.2), "x")
    assert answer.top(2) == [("b", 0.7), ("c", 0.2)]
    assert len(answer.top(9)) == 3


def test_fake_predictor_is_a_predictor() -> None:
    """What other tests use keeps the protocol."""
    fake = FakePredictor(["b", "a"])
    assert isinstance(fake, Predictor)
    assert [answer.value for answer in fake.predict(["b", "neither"])] == ["b", "a"]
