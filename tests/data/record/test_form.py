"""The form of answers."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.record import Inner, RecordForm
from nanosmith.data.record.form import build
from nanosmith.data.record.schema import misfit

N = 40
TEXTS = [
    f"Invoice {4000 + i} of {1 + i % 28} May 2024, EUR {1000 + 7.5 * i:,.2f}, {'late' if i % 2 else ''}"
    for i in range(N)
]
ANSWERS: list[dict[str, Any]] = [
    {
        "number": str(4000 + i), "date": f"2024-05-{1 + i % 28:02}", "total": 1000 + 7.5 * i,
        "state": {"overdue": i % 2 == 1, "who": None}, **({"note": "pay"} if i % 2 else {}),
    }
    for i in range(N)
]  # fmt: skip
SCHEMA = {
    "type": "object",
    "properties": {
        "number": {"type": "string"}, "date": {"type": "string", "format": "date"}, "total": {"type": "number"},
        "state": {"$ref": "#/$defs/State"}, "note": {"enum": ["pay", "wait"]},
    },
    "required": ["number"],
    "$defs": {"State": {"type": "object", "properties": {
        "overdue": {"type": "boolean"}, "who": {"anyOf": [{"enum": ["Ann"]}, {"type": "null"}]}}}},
}  # fmt: skip


def fields_of(form: RecordForm | None) -> list[tuple[str, str, str, str | None]]:
    assert form is not None
    return [(field.name, field.type, field.normal, field.missing) for field in form.fields]


def test_form() -> None:
    """Every field has its type; the schema holds for every answer; the sentence names all."""
    built = build(ANSWERS, TEXTS)
    assert fields_of(built.form) == [
        ("number", "span", "verbatim", None), ("date", "span", "date:dmy:%Y-%m-%d", None),
        ("total", "span", "number", None), ("state.overdue", "choice", "verbatim", None),
        ("state.who", "constant", "verbatim", None), ("note", "choice", "verbatim", "absent"),
    ]  # fmt: skip
    assert built.form is not None
    assert [misfit(answer, built.form.schema) for answer in ANSWERS] == [None] * N
    assert '"date" is copied (date:dmy:%Y-%m-%d)' in built.why[0]


def test_a_given_schema_wins() -> None:
    """Its enumerations are the values, though not all were seen; what it leaves open is copied where it can be."""
    built = build(ANSWERS, TEXTS, schema=SCHEMA, function="pay")
    assert built.form is not None
    values = {field.name: field.values for field in built.form.fields}
    assert values["note"] == ('"pay"', '"wait"')
    assert values["state.who"] == ('"Ann"', "null")
    assert (built.form.schema, built.form.function) == (SCHEMA, "pay")
    assert ("total", "span", "number", None) in fields_of(built.form)


def test_entities() -> None:
    """Labels of entities are collected; other keys beside them are fields."""
    entity = {"label": "city", "start": 0, "end": 4, "text": "Rome"}
    built = build([{"label": "go", "entities": [entity]}, {"label": "stay", "entities": []}] * 10, ["Rome"] * 20)
    assert built.form is not None
    assert (built.form.entities, fields_of(built.form)) == (("city",), [("label", "choice", "verbatim", None)])


def test_what_is_no_record() -> None:
    """Lists of objects have no form; open fields are named."""
    assert build([{"a": [{"b": i}]} for i in range(N)], TEXTS).form is None
    built = build([{"a": f"Thanks, we look at case {i * i}!"} for i in range(N)], TEXTS)
    assert built.open == ("a",)


@pytest.mark.parametrize("nothing", [None, {}])
def test_objects_that_are_missing(nothing: Any) -> None:
    """What stands for a missing object obeys the form's schema, and is kept."""
    texts = [f"I am name{chr(97 + i)}{i}" for i in range(20)]
    answers = [{"who": {"name": text[5:]} if i % 2 else nothing} for i, text in enumerate(texts)]
    form = build(answers, texts).form
    assert form is not None
    assert form.inner == (Inner(("who",), "null" if nothing is None else "empty"),)
    assert {misfit(answer, form.schema) for answer in answers} == {None}
    assert misfit({}, form.schema)
