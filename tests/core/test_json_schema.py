"""Which answers fit which schemas."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.json_schema import Checker, fits
from nanosmith.core.limits import MAX_SCHEMA_STEPS

FIELD = {
    "type": "object", "properties": {"x": {"enum": ["a", "b"]}}, "required": ["x"], "additionalProperties": False,
}  # fmt: skip
REF = {"$defs": {"L": {"type": "string", "enum": ["a"]}}, "type": "array", "items": {"$ref": "#/$defs/L"}}


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        ("a", {}, True), ("a", {"type": "string"}, True), ("a", {"type": ["null", "string"]}, True), ("a", True, True),
        (1, {"type": "string"}, False), (True, {"type": "integer"}, False), ("a", {"const": "b"}, False),
        ("a", False, False),
        ({"x": "a"}, FIELD, True), ({"x": "c"}, FIELD, False), ({}, FIELD, False), ({"x": "a", "y": 1}, FIELD, False),
        (["a", "a"], REF, True), (["a", "b"], REF, False), ([], REF, True),
        ("a", {"anyOf": [{"const": "b"}, {"const": "a"}]}, True), ("c", {"anyOf": [{"const": "b"}]}, False),
        ({"x": "a", "y": 1}, {"properties": {"x": {"const": "a"}}}, True),
        ("a", {"title": "T", "description": "d"}, True), (1, {"enum": [True]}, False), (True, {"const": 1}, False),
        ("ab", {"minLength": 3}, False), ("abc", {"minLength": 3}, True), (2, {"maximum": 1.5}, False),
        ([1], {"minItems": 2}, False), ("ab", {"minimum": 3}, True), (1, {"allOf": [{}, {"type": "string"}]}, False),
        ("2026-05-03", {"format": "date"}, True), ("3 May", {"format": "date"}, False), (3, {"format": "date"}, True),
    ],
)  # fmt: skip
def test_fits(value: Any, schema: Any, expected: bool) -> None:
    """The keywords mean what JSON Schema says."""
    root = schema if isinstance(schema, dict) else {}
    assert fits(value, schema, root) is expected


@pytest.mark.parametrize(
    "schema",
    [
        {"minLength": "3"}, {"pattern": "^a"}, {"format": "email"}, {"type": "text"}, {"$ref": "other.json"},
        {"$ref": "#/nowhere"},
        {"enum": 3},
        {"$ref": "#"}, {"additionalProperties": {"type": "string"}}, {"items": 3, "type": "string"} | {"anyOf": "x"}, 3,
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(schema: Any) -> None:
    """A keyword that might forbid something, a bad reference or an endless one is an error, never a yes."""
    with pytest.raises(InputError):
        fits("a", schema, schema if isinstance(schema, dict) else {})


def test_steps_are_counted_of_all_values_together() -> None:
    """A schema that is checked in few steps is not checked without end; one with many alternatives not even once."""
    checker = Checker(REF)
    with pytest.raises(InputError, match="steps"):
        assert not all(checker.fits(["a"], REF) for _ in range(MAX_SCHEMA_STEPS))
    parts = {str(i): {"anyOf": [{"$ref": f"#/$defs/{i + 1}"}] * 20} for i in range(7)}
    schema = {"$defs": {**parts, "7": {"type": "null"}}, "$ref": "#/$defs/0"}
    with pytest.raises(InputError, match="steps"):
        fits("a", schema, schema)


@pytest.mark.parametrize("schema", [{"additionalProperties": False, "properties": 3}, {"properties": 3}])
def test_properties_that_are_no_object(schema: Any) -> None:
    """They are refused, whichever keyword comes first."""
    with pytest.raises(InputError, match="properties"):
        fits({"x": "a"}, schema, schema)


def test_a_required_name_that_is_no_name() -> None:
    """No object has it."""
    assert not fits({"x": "a"}, {"required": [{}]}, {})
