from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nanosmith.core.json_schema import fits
from nanosmith.core.record import Field, Inner, RecordForm
from nanosmith.predict.record_answer import Answer, Answerer, Text
from nanosmith.predict.record_layout import Confidences, Layout, Platt

TEXT = "from Oslo to Rome for 12 people"
UNITS = [(0, 4), (5, 9), (10, 12), (13, 17), (18, 21), (22, 24), (25, 31)]
NONE = np.zeros(0, dtype=np.float32)


def tags(labels: int, **found: tuple[int, int, float]) -> np.ndarray:
    """Logits in which label lN begins at a unit, goes on to another, with a height; all else is outside."""
    logits = np.zeros((len(UNITS), 1 + 2 * labels), dtype=np.float32)
    logits[:, 0] = 6
    for name, (start, end, height) in found.items():
        label = int(name[1:])
        logits[start, 1 + label] = height
        logits[start + 1 : end, 1 + labels + label] = height
    return logits


def answered(
    fields: tuple[Field, ...], logits: np.ndarray, *, choices: Any = NONE, entities: tuple[str, ...] = (),
    turn: tuple[int, int] = (0, len(TEXT)), text: str = TEXT,
) -> Answer:  # fmt: skip
    names = (*(field.name for field in fields if field.type in ("span", "spans")), *entities)
    layout = Layout((names,), 64, True)
    answerer = Answerer(RecordForm(fields, entities), layout)
    return answerer.answer(Text(text, turn, UNITS[: len(logits)]), logits, np.asarray(choices, dtype=np.float32))


def value_of(*given: Any, **more: Any) -> Any:
    return json.loads(answered(*given, **more).value)


def test_one_span_is_the_likeliest() -> None:
    """Of two spans of a single-valued field the likelier one is answered."""
    field = Field(("city",), "span", missing="absent")
    logits = np.maximum(tags(1, l0=(1, 2, 9)), tags(1, l0=(3, 4, 14)))
    assert value_of((field,), logits) == {"city": "Rome"}


@pytest.mark.parametrize(("missing", "wanted"), [("absent", {}), ("null", {"city": None}), ("empty", {"city": ""})])
def test_missing_spans(missing: Any, wanted: dict[str, Any]) -> None:
    """A span that is not there is written as the field's policy says."""
    assert value_of((Field(("city",), "span", missing=missing),), tags(1)) == wanted


def test_a_span_that_must_be_there() -> None:
    """A field that is never missing takes the likeliest span, however unlikely it is."""
    assert value_of((Field(("city",), "span"),), tags(1, l0=(3, 4, 1))) == {"city": "Rome"}


def test_a_span_that_is_no_number_is_passed_over() -> None:
    """Where the likeliest span cannot be normalised, the next one is taken; where none can, the field is missing."""
    field = Field(("seats",), "span", normal="integer", missing="null")
    logits = np.maximum(tags(1, l0=(1, 2, 9)), tags(1, l0=(5, 6, 8.5)))
    assert value_of((field,), logits) == {"seats": 12}
    assert value_of((field,), tags(1, l0=(1, 2, 12))) == {"seats": None}


def test_a_number_must_be_there_and_is_not() -> None:
    """Even without any text the record has the type that its schema asks for."""
    field = Field(("seats",), "span", normal="integer")
    assert value_of((field,), tags(1)[:0], text="") == {"seats": 0}


def test_lists_keep_their_order() -> None:
    """All different spans of a list are answered, in the order of the text."""
    logits = np.maximum(tags(1, l0=(1, 2, 9)), tags(1, l0=(3, 4, 14)))
    assert value_of((Field(("cities",), "spans"),), logits) == {"cities": ["Oslo", "Rome"]}
    assert value_of((Field(("cities",), "spans", missing="absent"),), tags(1)) == {}
    assert value_of((Field(("cities",), "spans"),), tags(1)) == {"cities": []}


def test_choices_and_constants() -> None:
    """Closed sets answer JSON values of any type; an absent one leaves its key out."""
    fields = (
        Field(("kind",), "constant", ('"trip"',)),
        Field(("way", "back"), "choice", ("false", "true")),
        Field(("class",), "choice", ('"first"', "2"), missing="absent"),
        Field(("extras",), "choices", ('"bike"', '"dog"')),
    )
    choices = [0.0, 3.0, 0.0, 2.0, 1.0, 4.0, -4.0]
    assert value_of(fields, tags(0), choices=choices) == {
        "kind": "trip", "way": {"back": True}, "class": 2, "extras": ["bike"],
    }  # fmt: skip
    choices[4] = 5.0
    assert "class" not in value_of(fields, tags(0), choices=choices)


def test_entities_count_from_the_last_turn() -> None:
    """Entities have offsets in the last user turn, and there are none outside of it."""
    logits = np.maximum(tags(1, l0=(1, 2, 9)), tags(1, l0=(3, 6, 14)))
    answer = answered((), logits, entities=("place",), turn=(10, 24))
    assert json.loads(answer.value) == {
        "entities": [{"label": "place", "start": 3, "end": 14, "text": "Rome for 12"}]
    }  # fmt: skip
    assert [(part.name, part.value, part.spans) for part in answer.parts] == [("place", "Rome for 12", ((3, 14),))]


def test_objects_that_the_schema_asks_for() -> None:
    """A required object is there although all its fields are absent, and the record obeys its schema."""
    inner = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
    schema = {"type": "object", "properties": {"to": inner}, "required": ["to"], "additionalProperties": False}
    form = RecordForm((Field(("to", "city"), "span", missing="absent"),), (), schema)
    answerer = Answerer(form, Layout((("to.city",),), 64, True))
    answer = answerer.answer(Text(TEXT, (0, len(TEXT)), UNITS), tags(1), NONE)
    assert json.loads(answer.value) == {"to": {}}
    assert fits(json.loads(answer.value), schema, schema)


def written(form: RecordForm, logits: np.ndarray) -> Any:
    answerer = Answerer(form, Layout((tuple(field.name for field in form.fields),), 64, True))
    return json.loads(answerer.answer(Text(TEXT, (0, len(TEXT)), UNITS), logits, NONE).value)


def test_objects_whose_fields_are_absent() -> None:
    """Null or an empty object stands there, as in the examples; nothing where the object around is null itself."""
    fields = (Field(("to", "at", "city"), "span", missing="absent"),)
    at, null, empty = Inner(("to", "at"), "null"), Inner(("to",), "null"), Inner(("to",), "empty")
    assert written(RecordForm(fields, inner=(null, at)), tags(1)) == {"to": None}
    assert written(RecordForm(fields, inner=(empty, at)), tags(1)) == {"to": {"at": None}}
    assert written(RecordForm(fields), tags(1)) == {}
    assert written(RecordForm(fields, inner=(null, at)), tags(1, l0=(3, 4, 9))) == {"to": {"at": {"city": "Rome"}}}


def test_references_in_a_schema() -> None:
    """An object behind a reference is completed too."""
    inner = {"type": "object", "properties": {"city": {"type": "string"}}}
    schema = {"properties": {"to": {"$ref": "#/$defs/To"}}, "required": ["to"], "$defs": {"To": inner}}
    assert written(RecordForm((Field(("to", "city"), "span", missing="absent"),), (), schema), tags(1)) == {"to": {}}


def test_confidences_are_calibrated() -> None:
    """Confidences come from the layout's scales; without any examples there are none."""
    form = RecordForm((Field(("city",), "span", missing="absent"),))
    told = Confidences({"span": Platt(1.0, -30.0)}, Platt(1.0, 30.0), 10)
    plain, scaled = (Answerer(form, Layout((("city",),), 64, True, one)) for one in (Confidences(), told))
    answer = plain.answer(Text(TEXT, (0, len(TEXT)), UNITS), tags(1, l0=(3, 4, 9)), NONE)
    parts, confidence = plain.calibrated(answer)
    assert (parts[0].confidence, confidence) == (None, None)
    parts, confidence = scaled.calibrated(answer)
    assert parts[0].confidence == pytest.approx(0.0, abs=1e-6)
    assert confidence == pytest.approx(1.0, abs=1e-6)
