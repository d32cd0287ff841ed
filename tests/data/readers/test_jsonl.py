"""The reader of plain JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanosmith.core.example import Example, Message
from nanosmith.data.readers.jsonl import read
from nanosmith.data.reading import Reading

GOOD = {"text": "hi", "label": "greeting"}


def read_rows(folder: Path, *rows: Any) -> Reading:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read(path)


def codes(reading: Reading) -> list[tuple[str, int | None]]:
    return [(problem.code, problem.line) for problem in reading.problems]


def test_label(tmp_path: Path) -> None:
    """`label` declares a choice; its answer is the label, other keys are ignored."""
    reading = read_rows(tmp_path, {**GOOD, "source": [1]})
    assert reading.examples == [Example((Message("user", "hi"),), "greeting", 1)]
    assert reading.declared == "choice"


def test_labels(tmp_path: Path) -> None:
    """`labels` declares sets of labels; answers are JSON lists, which may be empty."""
    reading = read_rows(tmp_path, {"text": "hi", "labels": ["b", "a"]}, {"text": "ho", "labels": []})
    assert [example.answer for example in reading.examples] == ['["b", "a"]', "[]"]
    assert reading.declared == "labels"


def test_context(tmp_path: Path) -> None:
    """`context` is the assistant's turn before the text; null and blank mean none."""
    reading = read_rows(tmp_path, {**GOOD, "context": "Hello?"}, {**GOOD, "context": None}, {**GOOD, "context": " "})
    assert [len(example.messages) for example in reading.examples] == [2, 1, 1]
    assert reading.examples[0].messages[0] == Message("assistant", "Hello?")


@pytest.mark.parametrize(("label", "answer"), [(3, "3"), (2.5, "2.5"), (True, "true"), (" x ", "x")])
def test_labels_that_are_not_strings(tmp_path: Path, label: object, answer: str) -> None:
    """Numbers and booleans are labels like any others, written as in JSON."""
    assert read_rows(tmp_path, {"text": "hi", "label": label}).examples[0].answer == answer


BAD: list[tuple[str, Any]] = [
    ("missing_text", {"label": "a"}),
    ("missing_text", {"text": 5, "label": "a"}),
    ("empty_text", {"text": "  ", "label": "a"}),
    ("missing_label", {"text": "hi"}),
    ("missing_label", {"text": "hi", "label": None}),
    ("two_label_keys", {"text": "hi", "label": "a", "labels": ["a"]}),
    ("mixed_label_keys", {"text": "hi", "labels": ["a"]}),
    ("bad_label", {"text": "hi", "label": ["a"]}),
    ("empty_answer", {"text": "hi", "label": ""}),
    ("bad_context", {**GOOD, "context": ["x"]}),
    ("bad_id", {**GOOD, "id": [1]}),
    ("two_label_keys", {"text": "hi", "label": "a", "output": "b"}),
    ("mixed_label_keys", {"text": "hi", "entities": []}),
    ("mixed_label_keys", {"text": "hi", "output": "b"}),
    ("bad_output", {"text": "hi", "output": None}),
    ("bad_requested", {**GOOD, "requested": "time"}),
    ("duplicate_id", {**GOOD, "id": "one"}),
    ("not_an_object", ["hi", "a"]),
]


@pytest.mark.parametrize(("code", "row"), BAD)
def test_bad_row(tmp_path: Path, code: str, row: Any) -> None:
    """A row that cannot be used is an error with its line and a remedy; the others are read."""
    reading = read_rows(tmp_path, {**GOOD, "id": "one"}, row, GOOD)
    assert codes(reading) == [(code, 2)]
    assert reading.problems[0].remedy
    assert [example.line for example in reading.examples] == [1, 3]


BAD_ANSWERS: list[tuple[str, Any]] = [
    ("bad_entities", {"text": "hi", "entities": {}}),
    ("span_text", {"text": "hi", "entities": [{"label": "a", "start": 0, "end": 1, "text": "i"}]}),
    ("bad_output", {"text": "hi", "output": 5}),
    ("bad_references", {"text": "hi", "output": {}, "references": ["x"]}),
    ("bad_references", {"text": "hi", "references": "x"}),
    ("empty_answer", {"text": "hi", "references": []}),
    ("empty_answer", {"text": "hi", "output": " "}),
]


@pytest.mark.parametrize(("code", "row"), BAD_ANSWERS)
def test_bad_answer(tmp_path: Path, code: str, row: Any) -> None:
    """Entities, outputs and references that are none are errors."""
    assert codes(read_rows(tmp_path, row)) == [(code, 1)]


def test_what_was_asked_for(tmp_path: Path) -> None:
    """Requested slots are the assistant's question after the context; an empty list is none."""
    rows = [{**GOOD, "requested": ["date", "time"], "context": "Hello?"}, {**GOOD, "requested": [], "context": None}]
    first, second = read_rows(tmp_path, *rows).examples
    assert first.messages == (
        Message("assistant", "Hello?"), Message("assistant", "date, time?"), Message("user", "hi"),
    )  # fmt: skip
    assert second.messages == (Message("user", "hi"),)


def test_entities(tmp_path: Path) -> None:
    """The answer is the JSON object of the label, where there is one, and the entities in their order."""
    entities = [{"label": "b", "start": 3, "end": 4}, {"label": "a", "start": 0, "end": 2, "text": "hi"}]
    rows = [{"text": "hi x", "label": "go", "entities": entities}, {"text": "hi", "entities": []}]
    reading = read_rows(tmp_path, *rows)
    assert json.loads(reading.examples[0].answer) == {
        "label": "go",
        "entities": [
            {"label": "a", "start": 0, "end": 2, "text": "hi"},
            {"label": "b", "start": 3, "end": 4, "text": "x"},
        ],
    }
    assert (reading.examples[1].answer, reading.declared) == ('{"entities":[]}', "record")


def test_labels_with_entities_are_labels(tmp_path: Path) -> None:
    """Where there are several labels, entities beside them are left aside."""
    reading = read_rows(tmp_path, {"text": "hi", "labels": ["a", "b"], "entities": []})
    assert (reading.examples[0].answer, reading.declared) == ('["a", "b"]', "labels")


def test_outputs_of_two_sorts(tmp_path: Path) -> None:
    """An object in one line and a text in another are an error."""
    reading = read_rows(tmp_path, {"text": "a", "output": {"x": 1}}, {"text": "b", "output": "y"})
    assert codes(reading) == [("mixed_label_keys", 2)]
    assert reading.problems[0].message == "some lines have `output` with an object, others `output` with a text"


@pytest.mark.parametrize("labels", ["a|b", [["a"]], [None]])
def test_bad_labels(tmp_path: Path, labels: object) -> None:
    """`labels` must be a list of labels."""
    assert codes(read_rows(tmp_path, {"text": "hi", "labels": labels})) == [("bad_label", 1)]


def test_probabilities_of_a_teacher(tmp_path: Path) -> None:
    """Probabilities beside labels are kept as soft labels; records have none."""
    reading = read_rows(tmp_path, {**GOOD, "probabilities": {"greeting": 0.75, "refund": 0.25}})
    assert reading.examples[0].soft == {"greeting": 0.75, "refund": 0.25}
    record = read_rows(tmp_path, {"text": "hi", "output": {"n": 1}, "probabilities": {"x": 1}})
    assert record.examples[0].soft is None


@pytest.mark.parametrize("given", [{}, [], "x", {"a": 2}, {"a": -0.1}, {"a": "0.5"}, {"a": True}, {"a": None}])
def test_wrong_probabilities(tmp_path: Path, given: object) -> None:
    """What is no share of each label is a problem of its line."""
    reading = read_rows(tmp_path, {**GOOD, "probabilities": given})
    assert codes(reading) == [("bad_probabilities", 1)]
