"""Records as people and programs see them."""

from __future__ import annotations

from nanosmith.core.example import Message
from nanosmith.core.prediction import FieldAnswer, Prediction
from nanosmith.core.record import Field, RecordForm
from nanosmith.core.task import Task
from nanosmith.predict.shown import field_objects, marked

TASK = Task("record", record=RecordForm((Field(("who",), "span"),), ("city",)))


def answer(*fields: FieldAnswer) -> Prediction:
    return Prediction("{}", 0.5, (), (), "m", fields=fields)


def test_marks() -> None:
    """Fields count from the start of the text that was read, entities from the newest user turn."""
    turns = (Message("user", "I am Ann"), Message("assistant", "where?"), Message("user", "in Bonn"))
    found = answer(FieldAnswer("who", "Ann", 0.9, ((43, 46),)), FieldAnswer("city", "Bonn", 0.9, ((3, 7),)))
    assert marked(TASK, turns, found) == "user: in [Bonn|city]\nassistant: where?\nuser: I am [Ann|who]"


def test_marks_that_overlap() -> None:
    """The first one is marked, and the text stays whole."""
    found = answer(FieldAnswer("who", "a b", 0.9, ((0, 3),)), FieldAnswer("city", "b", 0.9, ((2, 3),)))
    assert marked(TASK, "a b c", found) == "[a b|who] c"
    assert marked(TASK, "a b c", answer()) == "a b c"


def test_objects() -> None:
    """What is missing has no value and no place."""
    found = field_objects(answer(FieldAnswer("who", None, None)), "text")
    assert found == {
        "confidence": 0.5, "text": "text", "fields": [{"name": "who", "value": None, "confidence": None, "spans": []}],
    }  # fmt: skip
