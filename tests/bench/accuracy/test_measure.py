"""Figures of a contender whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from bench.accuracy.contender import PeerPredictor
from bench.accuracy.measure import figures, found_flips
from bench.accuracy.sets import Trial

ROWS = [{"text": "a0", "label": "a"}, {"text": "a1", "label": "a"}, {"text": "b0", "label": "b"}]


def table(found: dict[str, list[float]]):  # type: ignore[no-untyped-def]
    """Scores by text."""
    return lambda texts: np.array([found[text] for text in texts])


def test_accuracy_and_calibration() -> None:
    """Accuracy, macro-F1 and the gap between confidence and accuracy, in percent."""
    trial = Trial(ROWS, {"clean": ROWS, "one_typo": ROWS[:1]})
    found, counts = figures(trial, PeerPredictor("p", trial, table({"a0": [1, 0], "a1": [0, 1], "b0": [0, 1]})))
    assert found == {"accuracy": 66.667, "macro_f1": 66.667, "ece": 33.333, "one_typo": 100.0}
    assert counts["accuracy"] == 3
    assert counts["one_typo"] == 1


def test_no_confidence_no_calibration() -> None:
    """Of margins no calibration error is told."""
    trial = Trial(ROWS, {"clean": ROWS})
    scores = table({"a0": [1, 0], "a1": [1, 0], "b0": [0, 1]})
    assert "ece" not in figures(trial, PeerPredictor("p", trial, scores, calibrated=False))[0]


def test_sets_of_labels() -> None:
    """A joined query is right when its whole set is found; a single label is a set of one."""
    joined = [{"text": "ab", "labels": ["b", "a"]}, {"text": "a0", "labels": ["a", "b"]}]
    trial = Trial(ROWS, {"clean": ROWS, "joined": joined}, combined=True)
    scores = table({"a0": [0.9, 0.1], "a1": [0.8, 0.6], "b0": [0.2, 0.7], "ab": [0.6, 0.5]})
    found = figures(trial, PeerPredictor("p", trial, scores))[0]
    assert found["accuracy"] == 66.667
    assert found["joined"] == 50


def test_out_of_scope() -> None:
    """The best label in scope is compared; the score of the others is how little it is likely."""
    rows = [*ROWS, {"text": "x", "label": "oos"}, {"text": "y", "label": "oos"}]
    trial = Trial(rows, {"clean": rows}, out_of_scope="oos")
    scores = table({"a0": [0.9, 0.1, 0], "a1": [0.7, 0.1, 0.2], "b0": [0.4, 0.5, 0.1], "x": [0.1, 0.1, 0.8],
                    "y": [0.6, 0.3, 0.1]})  # fmt: skip
    found, counts = figures(trial, PeerPredictor("p", trial, scores))
    assert found == {"oos_auroc": pytest.approx(100 * 5 / 6, abs=1e-3), "oos_recall": 50.0, "accuracy": 100.0}
    assert counts == {"oos_auroc": 5, "oos_recall": 2, "accuracy": 3}


def test_attack() -> None:
    """What answers by a word alone loses it to one character; what always answers the same cannot be moved."""
    rows = [{"text": f"the card {i} is lost", "label": "card"} for i in range(3)] + [
        {"text": "money", "label": "money"}
    ]
    trial = Trial(rows, {"clean": rows}, attacked=True)
    brittle = PeerPredictor("p", trial, lambda texts: np.array([[float("card" in t), 0.5] for t in texts]))
    stubborn = PeerPredictor("p", trial, lambda texts: np.array([[1.0, 0.0] for t in texts]))
    assert figures(trial, brittle)[0]["attack_kept"] == 25.0  # money cannot be made to hold "card"
    assert figures(trial, stubborn)[0]["attack_kept"] == 100.0


def test_found_flips() -> None:
    """Recall is of the changed rows, precision of the suspected ones."""
    assert found_flips(frozenset({1, 2, 3, 4}), {2, 3, 9}) == {"flips_recall": 50.0, "flips_precision": 66.667}
