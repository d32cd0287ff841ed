"""What an encoder is trained on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.example import Example, Message
from nanosmith.core.record import Field, RecordForm
from nanosmith.core.task import Task
from nanosmith.data.dataset import Dataset
from nanosmith.data.record.align import align

CITY = Field(("trip", "city"), "span", normal="spaces", missing="absent")
TAGS = Field(("tags",), "spans", missing="empty")
SIZE = Field(("size",), "choice", ('"l"', '"s"'), missing="absent")
KINDS = Field(("kinds",), "choices", ('"a"', '"b"'))


def dataset(form: RecordForm, *pairs: tuple[Any, Any]) -> Dataset:
    """Inputs (a text, or (role, text) turns) with their answers."""
    examples = []
    for line, (given, answer) in enumerate(pairs, start=1):
        turns = [("user", given)] if isinstance(given, str) else given
        messages = tuple(Message(role, text) for role, text in turns)
        examples.append(Example(messages, json.dumps(answer), line, weight=0.5))
    return Dataset(tuple(examples), Task("record", record=form))


def test_fields() -> None:
    """Copies have places, sorted; choices have classes, one more where they are absent; unknown ones have no loss."""
    data = dataset(
        RecordForm((CITY, TAGS, SIZE, KINDS)),
        ("y and x to New\nYork", {"trip": {"city": "New York"}, "tags": ["x", "y"], "size": "s", "kinds": ["b", "a"]}),
        ("home", {"tags": [], "kinds": ["new"]}),
        ("x", {"trip": {"city": "Rome"}, "tags": ["x", "q"], "size": "huge", "kinds": []}),
    )
    aligned = align(data)
    first, second, third = aligned.examples
    assert first.spans == (("tags", 0, 1), ("tags", 6, 7), ("trip.city", 11, 19))
    assert (first.classes, first.members, first.unlocated, first.weight) == ((1,), ((0, 1),), (), 0.5)
    assert (second.spans, second.classes, second.members, second.unlocated) == ((), (2,), ((),), ())
    assert (third.spans, third.classes, third.unlocated) == ((), (None,), ("trip.city", "tags"))
    assert aligned.texts == data.texts


def test_entities_count_from_the_last_user_turn() -> None:
    """Their places in the read text are moved by what stands before the turn."""
    answer = {"entities": [{"label": "time", "start": 3, "end": 4, "text": "8"}]}
    turns = [("user", "book"), ("assistant", "time?"), ("user", "at 8")]
    aligned = align(dataset(RecordForm(entities=("time",)), ("at 8", answer), (turns, answer)))
    for text, example in zip(aligned.texts, aligned.examples):
        ((name, begin, end),) = example.spans
        assert (name, text[begin:end]) == ("time", "8")
    assert aligned.texts[1].startswith("user: at 8\nassistant: time?")


def test_equal_items() -> None:
    """Equal items of a list stand at different places."""
    aligned = align(dataset(RecordForm((TAGS,)), ("x, x and x", {"tags": ["x", "x"]})))
    assert aligned.examples[0].spans == (("tags", 0, 1), ("tags", 3, 4))


def test_other_kinds() -> None:
    """Labels cannot be aligned."""
    with pytest.raises(InputError, match="no data set of records"):
        align(Dataset((), Task("choice", ("a",))))
