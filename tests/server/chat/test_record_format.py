"""Which formats and functions a record fits, and how it is then written."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.prediction import FieldAnswer, Prediction
from nanosmith.core.record import Field, RecordForm
from nanosmith.core.structs import to_struct
from nanosmith.core.task import Task
from nanosmith.server.chat.record_format import RecordPlan, answers, plan, turns_of
from nanosmith.server.chat.request import ChatRequest

FORM = RecordForm(
    (
        Field(("kind",), "choice", ('"a"', "true")),
        Field(("when", "day"), "span", normal="spaces+date:dmy:%Y-%m-%d", missing="absent"),
        Field(("when", "hours"), "spans", normal="integer", missing="empty"),
    ),
    ("city",),
)
NULLABLE_DAY = {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
HOURS = {"type": "array", "items": {"type": "number"}}


def asked(**options: Any) -> ChatRequest:
    return to_struct({"model": "m", "messages": [{"role": "user", "content": "x"}], **options}, ChatRequest)


def schema(strict: bool = True, **parts: Any) -> dict[str, Any]:
    """A format with the model's fields, some of them replaced."""
    when = {"type": "object", "properties": {"day": NULLABLE_DAY, "hours": HOURS}, "required": ["day", "hours"]}
    properties = {"kind": {"enum": ["a", True]}, "when": {"$ref": "#/$defs/W"}, "entities": {"type": "array"}} | parts
    whole = {"type": "object", "properties": properties, "required": list(properties), "$defs": {"W": when}}
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": whole, "strict": strict}}


def planned(**options: Any) -> RecordPlan:
    return plan(asked(**options), Task("record", record=FORM))


def predicted(value: str, *fields: FieldAnswer) -> Prediction:
    return Prediction(value, 0.5, (), (), "m", fields=fields)


def tool(name: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


def test_null_where_a_key_is_left_out() -> None:
    """Inside of objects too, behind references; a key that is there stays."""
    made = planned(response_format=schema())
    assert made.text(predicted('{"kind":"a","when":{"hours":[]},"entities":[]}')) == (
        '{"kind":"a","when":{"hours":[],"day":null},"entities":[]}'
    )
    there = '{"kind":"a","when":{"day":"2026-05-03","hours":[3]},"entities":[]}'
    assert made.text(predicted(there)) == there


def test_a_date_that_was_not_found() -> None:
    """Where a date must be there and none was found, the answer is valid all the same: null, or the first of all."""
    form = RecordForm((Field(("day",), "span", normal="date:dmy:%Y-%m-%d"),))
    for kind, value in (({"format": "date"}, "0001-01-01"), ({}, "")):
        parts = {"day": {"type": "string"} | kind}
        whole = {"type": "object", "properties": parts, "required": ["day"], "additionalProperties": False}
        wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": whole, "strict": True}}
        made = plan(asked(response_format=wanted), Task("record", record=form))
        assert made.record(predicted('{"day":""}')) == {"day": value}
        assert made.record(predicted('{"day":"2026-05-03"}')) == {"day": "2026-05-03"}


def test_dates_have_a_format() -> None:
    """Where the normaliser writes ISO dates, a schema may ask for them."""
    day = answers(FORM)["properties"]["when"]["properties"]["day"]
    assert day == {"type": "string", "format": "date"}


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"kind": {"enum": ["a"]}}, "kind can be true"),
        ({"when": {"properties": {"day": {"type": "string"}}, "required": ["day"]}}, "when.day can be null"),
        ({"when": {"properties": {"hours": {"items": {"type": "string"}}}}}, r"when.hours\[\] can be an integer"),
        ({"other": {"type": "null"}}, "no field 'other'"),
        ({"entities": {"type": "array", "items": {"type": "object", "required": ["score"]}}}, "entities"),
    ],
)  # fmt: skip
def test_refused_formats(parts: dict[str, Any], why: str) -> None:
    """The error names the field and the place in the request."""
    with pytest.raises(InputError, match=why) as caught:
        planned(response_format=schema(**parts))
    assert caught.value.param == "response_format.json_schema.schema"


def test_formats_that_are_not_strict() -> None:
    """A key that may be missing is no reason to refuse."""
    day = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
    with pytest.raises(InputError):
        planned(response_format=schema(when=day))
    assert planned(response_format={"type": "json_object"}).schema is None


def test_functions_that_fit() -> None:
    """A function without parameters takes what it gets; of several that fit one must be named."""
    assert planned(tools=[tool("f")], tool_choice="required").function == "f"
    with pytest.raises(InputError, match="several functions fit"):
        planned(tools=[tool("f"), tool("g")], tool_choice="required")
    allowed = {"type": "allowed_tools", "allowed_tools": {
        "mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}}  # fmt: skip
    assert planned(tools=[tool("f"), tool("g")], tool_choice=allowed).function == "g"
    with pytest.raises(InputError, match="no function takes"):
        planned(tools=[tool("f", {"type": "object", "additionalProperties": False})], tool_choice="required")
    assert planned(tools=[tool("f")], tool_choice="none").function is None


def test_tokens() -> None:
    """The pieces are the text; values and entities have their confidences, the rest is certain."""
    made = RecordPlan(FORM)
    value = (
        '{"kind":true,"when":{"day":"2026-05-03","hours":[3,4]},'
        '"entities":[{"label":"city","start":0,"end":4,"text":"Bonn"},{"label":"city","start":9,"end":13,"text":"Rome"}]}'
    )
    fields = (
        FieldAnswer("kind", True, 0.9), FieldAnswer("when.day", "2026-05-03", 0.8),
        FieldAnswer("when.hours", [3, 4], 0.7),
        FieldAnswer("city", "Bonn", 0.6, ((0, 4),)), FieldAnswer("city", "Rome", 0.5, ((9, 13),)),
    )  # fmt: skip
    tokens = made.tokens(predicted(value, *fields))
    assert "".join(text for text, _ in tokens) == value
    assert [p for _, p in tokens] == [1.0, 0.9, 1.0, 0.8, 1.0, 0.7, 1.0, 0.6, 1.0, 0.5, 1.0]
    assert made.tokens(predicted('{"kind":true}', FieldAnswer("kind", True, None))) == []


def test_calls_in_the_conversation() -> None:
    """An earlier call is read as its arguments, as in training examples."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    said = asked(
        messages=[
            {"role": "user", "content": "one"}, {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "done", "tool_call_id": "c"}, {"role": "user", "content": "two"},
        ]
    )  # fmt: skip
    assert [turn.content for turn in turns_of(said)] == ["one", '{"a":1}', "done", "two"]
