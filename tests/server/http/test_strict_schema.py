"""The subset that strict mode demands: what is let through, and where a schema is told to leave it."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.server.http import strict_schema
from nanosmith.server.http.strict_schema import Strict

STRING = {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def check(schema: dict[str, Any]) -> None:
    Strict("response_format 'x'", param="response_format", code="invalid_json_schema").check(schema)


@pytest.mark.parametrize(
    "schema",
    [
        closed(),
        closed(a=STRING, b={"type": ["string", "null"]}, c={"enum": ["x", 1]}, d={"type": "array", "items": STRING}),
        closed(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": closed(b={"$ref": "#"})}},
        closed(a={"anyOf": [closed(b=STRING), {"type": "null"}]}, e={"type": "number", "minimum": 0}),
    ],
)
def test_what_strict_mode_allows(schema: dict[str, Any]) -> None:
    """Closed objects, optional values as null, lists, choices, recursion, limits of values."""
    check(schema)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string"}, "In context=(), schema must be a JSON Schema of 'type: \"object\"'"),
        ({"type": "object", "anyOf": [closed()]}, "got 'anyOf'"),
        (closed(a={"type": "object"}), "In context=('properties', 'a'), 'additionalProperties' is required"),
        (closed(a=STRING) | {"required": []}, "Missing 'a'"),
        (closed(a=STRING) | {"required": ["a", "b"]}, "Extra required key 'b'"),
        (closed(a={"allOf": [STRING]}), "'allOf' is not permitted"),
        (closed(a={}), "schema must have a 'type' key"),
        (closed(a={"type": "array"}), "array schema missing items"),
        (closed(a={"type": "text"}), "'text' is no type"),
        (closed(a=True), "a schema must be an object"),
        (closed(a={"enum": list(range(1001))}), "more than 1000 values of enums"),
        (closed() | {"properties": [1]}, "'properties' must be an object"),
        (closed() | {"required": [{}]}, "'required' and 'type' must have names"),
        (closed(a={"type": {}}), "'required' and 'type' must have names"),
        (closed(a={"anyOf": [STRING] * 20_001}), "more than 20000 schemas"),
        (closed() | {"$defs": {"A": {"type": "object"}}}, "In context=('$defs', 'A')"),
    ],
)
def test_what_it_does_not_allow(schema: dict[str, Any], said: str) -> None:
    """The error has OpenAI's words, with the path."""
    with pytest.raises(InputError) as caught:
        check(schema)
    assert said in str(caught.value)
    assert str(caught.value).startswith("Invalid schema for response_format 'x': In context=(")


def test_levels() -> None:
    """Ten levels of objects and lists, not eleven."""
    schema = closed(leaf=STRING)
    for _ in range(strict_schema.MAX_LEVELS - 2):
        schema = closed(more=schema)
    check(schema)
    with pytest.raises(InputError, match="levels of nesting"):
        check(closed(more=schema))
