"""The worst wrong answers of a report, explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.core.watch import Watch
from nanosmith.flows import explanations
from nanosmith.flows.evaluate import evaluate
from nanosmith.flows.explanations import with_explanations
from nanosmith.score.evaluate import evaluate as score
from nanosmith.testing import FakePredictor, tiny_bundle, write_chat

WRONG = [("a refund", "login"), ("so much text, and a login in it", "refund"), ("delivery", "login")]
RIGHT = [("my refund", "refund"), ("the login page", "login")]


def test_the_most_confident_wrong_answers_are_explained(tmp_path: Path) -> None:
    """Each wrong answer has its words; the one that was surest comes first; right ones are left out."""
    bundle = tiny_bundle(tmp_path / "tiny")
    report = evaluate(bundle.path, write_chat(tmp_path / "test.jsonl", RIGHT + WRONG))
    assert [(row.index, row.wanted, row.given) for row in report.explained] == [
        (4, "login", "delivery"),
        (2, "login", "refund"),
        (3, "refund", "login"),
    ]
    [label] = report.explained[2].explanation.labels
    assert label.label == "login"
    assert max(label.words, key=lambda word: word.value).text == "login"


def test_only_a_handful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five at most, and none any more when the time is over."""
    bundle = tiny_bundle(tmp_path / "tiny")
    file = write_chat(tmp_path / "test.jsonl", [(f"refund {i}", "login") for i in range(9)])
    assert len(evaluate(bundle.path, file).explained) == 5
    monkeypatch.setattr(explanations, "LIMIT_S", -1.0)
    assert evaluate(bundle.path, file).explained == ()


def test_other_predictors_have_none() -> None:
    """A predictor that does not run here is scored, but not explained."""
    predictor = FakePredictor(["a", "b"])
    report = score(predictor, ["a", "b"], ["b", "b"])
    assert with_explanations(report, predictor, ["a", "b"], Watch()) == report
