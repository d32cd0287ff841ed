"""JSON schemas of records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.record import Field, RecordForm
from nanosmith.data.record.schema import Spec, misfit, read_schema, schema_of, specs_of

FORM = RecordForm(
    (
        Field(("n",), "span", normal="number", missing="null"),
        Field(("in", "size"), "choice", ('"l"', '"s"'), missing="absent"),
        Field(("in", "tags"), "spans", missing="empty"),
        Field(("kinds",), "choices", ('"a"', '"b"')),
        Field(("unit",), "constant", ('"EUR"',)),
        Field(("more",), "choices", ("1", "2"), missing="null"),
    ),
    ("city",),
)
ANSWER: dict[str, Any] = {
    "n": 1.5, "in": {"size": "l", "tags": ["x"]}, "kinds": ["a"], "unit": "EUR", "more": None,
    "entities": [{"label": "city", "start": 0, "end": 1, "text": "x"}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change", [{}, {"n": None}, {"in": {"tags": []}}, {"kinds": []}, {"entities": []}, {"more": [1]}]
)  # fmt: skip
def test_answers_obey(change: dict[str, Any]) -> None:
    """What a form can answer is valid under its schema."""
    assert misfit(ANSWER | change, schema_of(FORM)) is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"n": "1"}, '`n` is "1"'),
        ({"in": {"tags": [], "size": "xl"}}, '`in.size` is "xl" (allowed l, s)'),
        ({"in": {"size": "l"}}, "`in` has no `tags`"),
        ({"unit": "USD"}, "`unit` is"),
        ({"other": 1}, "a field `other`, which the schema does not allow"),
        ({"entities": [{"label": "name", "start": 0, "end": 1, "text": "x"}]}, "`entities` is"),
    ],
)
def test_other_answers_do_not(change: dict[str, Any], why: str) -> None:
    """What it cannot answer is not, and the reason names the field."""
    assert why in (misfit(ANSWER | change, schema_of(FORM)) or "")


def test_specs() -> None:
    """References, unions with null, lists and enumerations are looked through."""
    schema = {
        "properties": {
            "a": {"anyOf": [{"$ref": "#/$defs/E"}, {"type": "null"}]},
            "b": {"type": "array", "items": {"enum": [1, 2]}},
            "c": {"type": ["string", "null"]}, "d": {"type": "boolean"}, "e": {"properties": {"x": {"const": "y"}}},
        },
        "$defs": {"E": {"enum": ["u", "v"]}},
    }  # fmt: skip
    assert specs_of(schema) == {
        ("a",): Spec(('"u"', '"v"'), False), ("b",): Spec(("1", "2"), True), ("c",): Spec(None, False),
        ("d",): Spec(("false", "true"), False), ("e", "x"): Spec(('"y"',), False),
    }  # fmt: skip


def test_files(tmp_path: Path) -> None:
    """A schema may stand inside a response format or a tool."""
    path = tmp_path / "s.json"
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    for content in (schema, {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
                    {"type": "function", "function": {"name": "f", "parameters": schema}}):  # fmt: skip
        path.write_text(json.dumps(content))
        assert read_schema(path) == schema


@pytest.mark.parametrize(
    "content",
    ["", "[1]", '{"type": "string"}', '{"properties": {"a": {"$ref": "#/x"}}}', '{"properties": {"a": {"$ref": "#"}}}'],
)
def test_files_that_are_no_schema(tmp_path: Path, content: str) -> None:
    """What is no schema of an object, points nowhere or has no end is refused."""
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(InputError):
        read_schema(tmp_path / "s.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_schema(tmp_path / "none.json")
