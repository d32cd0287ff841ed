"""Which answers fit which schemas."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.server.json_schema import fits

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
        ("a", {"title": "T", "description": "d"}, True),
    ],
)  # fmt: skip
def test_fits(value: Any, schema: Any, expected: bool) -> None:
    """The keywords mean what JSON Schema says."""
    root = schema if isinstance(schema, dict) else {}
    assert fits(value, schema, root) is expected


@pytest.mark.parametrize(
    "schema",
    [
        {"minLength": 3}, {"pattern": "^a"}, {"type": "text"}, {"$ref": "other.json"}, {"$ref": "#/nowhere"},
        {"enum": 3},
        {"$ref": "#"}, {"additionalProperties": {"type": "string"}}, {"items": 3, "type": "string"} | {"anyOf": "x"}, 3,
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(schema: Any) -> None:
    """A keyword that might forbid something, a bad reference or an endless one is an error, never a yes."""
    with pytest.raises(InputError):
        fits("a", schema, schema if isinstance(schema, dict) else {})
