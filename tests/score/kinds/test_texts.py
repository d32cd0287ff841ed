"""Figures of generated texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from nanosmith.core.example import Input
from nanosmith.core.generation import Piece, Sampling, Stopped
from nanosmith.core.prediction import Prediction
from nanosmith.core.record import RecordForm
from nanosmith.core.task import Task
from nanosmith.score.evaluate import evaluate
from nanosmith.score.nearness import bleu

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


class Echo:
    """Gives the input back, word by word."""

    def __init__(self, task: Task | None = None) -> None:
        self.name, self.task, self.max_tokens = "echo", task or Task("text"), 99

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return [Prediction(self.task.text_of(one), None, (), (), self.name) for one in inputs]

    def generate(self, given: Input, sampling: Sampling, stopped: Stopped) -> Iterator[Piece]:
        assert sampling.temperature == 0
        words = self.task.text_of(given).split(" ")
        for word in words[:-1]:
            yield Piece(word + " ")
        yield Piece(words[-1], finish_reason="stop", prompt_tokens=7, written_tokens=len(words))


def test_figures() -> None:
    """An answer counts with the best of its references."""
    texts, wanted = ["a fine day", "nothing at all", "yes"], ["no", "something else", "no"]
    report = evaluate(Echo(), texts, wanted, others=[("a fine day", "x"), (), ()])
    found = report.text
    assert found is not None
    assert report.accuracy == found.exact_match == pytest.approx(1 / 3)
    assert found.rouge_l == pytest.approx(1 / 3)
    assert found.bleu == pytest.approx(bleu(texts, [("no", "a fine day", "x"), ("something else",), ("no",)]))
    assert (found.references, found.valid) == (3, None)
    assert found.rouge_l_interval[0] <= found.rouge_l <= found.rouge_l_interval[1]
    assert [(row.index, row.rouge_l) for row in found.worst] == [(1, 0.0), (2, 0.0), (0, 1.0)]


def test_pace() -> None:
    """Of a predictor that writes piece by piece, the time to the first and the tokens per second are told."""
    report = evaluate(Echo(), ["one two three", "four"], ["one two three", "x"])
    assert report.text is not None
    assert report.text.pace is not None
    assert report.text.pace.tokens == 2
    assert 0 < report.text.pace.first_p50_ms <= report.text.pace.first_p95_ms
    assert report.text.pace.tokens_per_s > 0


def test_validity() -> None:
    """Where the task has a schema, the share of texts that obey it."""
    task = Task("text", record=RecordForm(schema=SCHEMA))
    report = evaluate(Echo(task), ['{"x":1}', '{"x":"1"}', "x"], ["a", "b", "c"])
    assert report.text is not None
    assert report.text.valid == pytest.approx(1 / 3)


def test_empty_answers_are_noted() -> None:
    """Nothing is a text that nobody wants."""
    assert evaluate(Echo(), [" ", "b"], ["a", "b"]).notes[0] == "1 of 2 answers are empty."
