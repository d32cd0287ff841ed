"""Several predictors that answer as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.predict.ensemble import Ensemble
from nanosmith.predict.open import open_predictor
from nanosmith.testing import FakePredictor, tiny_bundle

LABELS = ("delivery", "login", "refund")


class Fixed:
    """Always the same probabilities."""

    def __init__(self, name: str, *shares: float) -> None:
        self.name, self._shares = name, shares
        self.task = Task("choice", LABELS)

    def predict(self, inputs: object) -> list[Prediction]:
        best = LABELS[self._shares.index(max(self._shares))]
        return [Prediction(best, max(self._shares), LABELS, self._shares, self.name)]


def test_mean() -> None:
    """The label with the highest mean probability is answered, with that as the confidence."""
    found = Ensemble([Fixed("a", 0.6, 0.4, 0.0), Fixed("b", 0.1, 0.9, 0.0)]).predict(["x"])[0]
    assert found.value == "login"
    assert found.confidence == pytest.approx(0.65)
    assert found.probabilities == pytest.approx((0.35, 0.65, 0.0))
    assert found.by == "a,b"


def test_sets(tmp_path: Path) -> None:
    """Of sets the labels are answered that most members answer."""
    members = [open_predictor(tiny_bundle(tmp_path / name, LABELS, name=name, kind="labels")) for name in "abc"]
    found = Ensemble(members).predict(["my refund"])[0]
    assert found.value == ("refund",)
    assert found.confidence == pytest.approx(members[0].predict(["my refund"])[0].confidence)


def test_other_labels() -> None:
    """Members with other labels are refused by name."""
    with pytest.raises(InputError, match="other and first"):
        Ensemble([FakePredictor(LABELS, "first"), FakePredictor(("a", "b"), "other")])
