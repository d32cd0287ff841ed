"""Calibration and decisions of local predictors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nanosmith.core.errors import Damaged, NotFound
from nanosmith.core.manifest import Calibration
from nanosmith.predict.local import sigmoid, softmax
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import Bundle, seal
from nanosmith.testing import tiny_bundle

SCORES = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=6)
TEMPERATURES = st.floats(0.05, 20)


@given(SCORES, TEMPERATURES)
def test_softmax(scores: list[float], temperature: float) -> None:
    """Probabilities that sum to 1, in the order of the scores, also for huge ones."""
    result = softmax(scores, temperature)
    assert sum(result) == pytest.approx(1, abs=1e-9)
    assert result[scores.index(max(scores))] == max(result)
    assert all(0 <= p <= 1 for p in result)


@given(SCORES, TEMPERATURES)
def test_sigmoid(scores: list[float], temperature: float) -> None:
    """In [0, 1], symmetric, a half at zero, also for huge scores."""
    result = sigmoid(scores, temperature)
    assert all(0 <= p <= 1 for p in result)
    assert result == pytest.approx([1 - p for p in sigmoid([-score for score in scores], temperature)], abs=1e-9)
    assert sigmoid([0.0], temperature) == [0.5]


def recalibrated(bundle: Bundle, folder: Path, **values: Any) -> Any:
    draft = folder.with_name("draft")
    draft.mkdir()
    for name in bundle.manifest.files:
        (draft / name).write_bytes(bundle.file(name).read_bytes())
    return open_predictor(seal(draft, replace(bundle.manifest, calibration=Calibration(**values)), folder))


def test_temperature_flattens(tmp_path: Path) -> None:
    """A higher temperature keeps the answer and lowers its confidence."""
    bundle = tiny_bundle(tmp_path / "bundle")
    [sharp] = open_predictor(bundle).predict(["refund"])
    [flat] = recalibrated(bundle, tmp_path / "flat", temperature=4.0, examples=10).predict(["refund"])
    assert flat.value == sharp.value == "refund"
    assert 1 / 3 < flat.confidence < sharp.confidence


def test_no_calibration_no_confidence(tmp_path: Path) -> None:
    """Without examples to calibrate on, no confidence is claimed."""
    bundle = tiny_bundle(tmp_path / "bundle")
    [answer] = recalibrated(bundle, tmp_path / "bare", examples=0).predict(["refund"])
    assert (answer.value, answer.confidence) == ("refund", None)


def test_thresholds_decide(tmp_path: Path) -> None:
    """A label is answered when its probability reaches its own threshold; confidence is that of the whole set."""
    bundle = tiny_bundle(tmp_path / "bundle", kind="labels")
    text = "refund login"
    [usual] = open_predictor(bundle).predict([text])
    assert usual.value == ("login", "refund")
    strict = recalibrated(bundle, tmp_path / "strict", thresholds=(0.5, 0.999, 0.5), examples=10)
    [answer] = strict.predict([text])
    assert answer.value == ("refund",)
    assert answer.probabilities == usual.probabilities
    p = answer.probabilities
    assert answer.confidence == pytest.approx((1 - p[0]) * (1 - p[1]) * p[2], rel=1e-4)


def test_no_label_is_an_answer(tmp_path: Path) -> None:
    """When no label reaches its threshold, the set is empty."""
    assert open_predictor(tiny_bundle(tmp_path / "b", kind="labels")).predict(["nothing"])[0].value == ()


def test_at_least_one_label(tmp_path: Path) -> None:
    """Where no training example was empty, the label nearest to its threshold is answered; confidence is that among
    the sets that are not empty."""
    bundle = tiny_bundle(tmp_path / "bundle", kind="labels")
    options = {"thresholds": (0.7, 0.02, 0.7), "examples": 10, "at_least_one": True}
    predictor = recalibrated(bundle, tmp_path / "nonempty", **options)
    [nothing] = predictor.predict(["nothing"])
    assert nothing.value == ("login",)  # three equal probabilities: the lowest threshold is the nearest
    p = nothing.probabilities
    anything = 1 - (1 - p[0]) * (1 - p[1]) * (1 - p[2])
    assert nothing.confidence == pytest.approx((1 - p[0]) * p[1] * (1 - p[2]) / anything, rel=1e-4)
    assert predictor.predict(["delivery refund"])[0].value == ("delivery", "refund")


def test_opening(tmp_path: Path) -> None:
    """By folder or as an opened bundle; a damaged or missing one is refused."""
    bundle = tiny_bundle(tmp_path / "bundle")
    assert open_predictor(bundle).predict(["login"]) == open_predictor(str(bundle.path)).predict(["login"])
    (bundle.path / "tokenizer.json").write_text("{}")
    with pytest.raises(Damaged):
        open_predictor(bundle.path)
    with pytest.raises(NotFound):
        open_predictor(tmp_path / "nowhere")


def test_unknown_predictor(tmp_path: Path) -> None:
    """A bundle for a runtime that is not there names those that are."""
    bundle = tiny_bundle(tmp_path / "bundle")
    with pytest.raises(NotFound, match="encoder/1"):
        open_predictor(Bundle(bundle.path, replace(bundle.manifest, predictor="encoder/9")))
