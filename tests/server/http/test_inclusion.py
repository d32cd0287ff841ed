"""Whether all answers of a model fit a schema."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.server.http.inclusion import Inclusion

TEXT = {"type": "string"}
NULLABLE = {"anyOf": [TEXT, {"type": "null"}]}


def of(part: Any, *required: str, closed: bool = True) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": part}, "required": list(required), "additionalProperties": not closed}


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (TEXT, {}), (TEXT, True), (TEXT, {"type": ["null", "string"]}), (TEXT, NULLABLE), ({"type": "null"}, NULLABLE),
        ({"type": "integer"}, {"type": "number"}), ({"type": "boolean"}, {"enum": [True, False, 3]}),
        ({"enum": ["a"]}, {"type": "string", "enum": ["a", "b"]}), ({"const": 1}, {"const": 1}),
        ({"type": ["string", "null"]}, NULLABLE), (NULLABLE, {"type": ["string", "null"]}),
        ({"type": "array", "items": TEXT}, {"type": "array", "items": {"title": "T", "type": "string"}}),
        ({"type": "array", "items": TEXT}, {"minLength": 3}),  # says nothing of lists
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        (of(TEXT, "x"), of(NULLABLE, "x")), (of(TEXT, "x"), of(TEXT, closed=False)),
        (of(TEXT, "x"), {"$ref": "#/$defs/R", "$defs": {"R": of({"$ref": "#/$defs/S"}, "x"), "S": TEXT}}),
        (of(TEXT, "x"), {"allOf": [of(TEXT, "x"), {"type": "object"}]}),
    ],
)  # fmt: skip
def test_what_fits(narrow: Any, wide: Any) -> None:
    """Every value of the narrow schema is valid under the wide one."""
    assert Inclusion(wide if isinstance(wide, dict) else {}).misfit(narrow, wide) is None


@pytest.mark.parametrize(
    ("narrow", "wide", "why"),
    [
        (TEXT, {"type": "number"}, "the answer can be a string"), (TEXT, False, "forbids"),
        (NULLABLE, TEXT, "can be null"), (TEXT, {"enum": ["a"]}, "not bound to enum"),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, 'can be "b"'), ({"type": "boolean"}, {"const": True}, "can be false"),
        ({"type": "number"}, {"type": "integer"}, "a number"), (TEXT, {"pattern": "a"}, "not bound to pattern"),
        (TEXT, {"not": {}}, "not bound to not"), (TEXT, {"oneOf": [TEXT]}, "not bound to oneOf"),
        ({"type": "array", "items": NULLABLE}, {"items": TEXT}, r"\[\] can be null"),
        (of(TEXT), of(TEXT, "x"), "x can be missing"), (of(TEXT, "x"), of(TEXT, "y"), "no field 'y'"),
        (of(TEXT, "x"), {"type": "object", "additionalProperties": False}, "has no 'x'"),
        (of(of(TEXT, "x")), of(of({"type": "null"}, "x")), "x.x can be a string"),
        (TEXT, {"anyOf": [{"type": "null"}, {"type": "number"}]}, "can be a string"),
    ],
)  # fmt: skip
def test_what_does_not_fit(narrow: Any, wide: Any, why: str) -> None:
    """The reason names the field."""
    found = Inclusion(wide if isinstance(wide, dict) else {}).misfit(narrow, wide)
    assert found is not None
    assert re.search(why, found)


def test_keys_that_may_be_missing() -> None:
    """Only a strict schema insists on them; a field that the model does not know is one that it cannot promise."""
    assert Inclusion({}, all_required=False).misfit(of(TEXT), of(TEXT, "x")) is None
    assert Inclusion({}, all_required=False).misfit(of(TEXT), of(TEXT, "y")) is not None


def test_endless_schemas() -> None:
    """References in circles, and trees of references, are refused soon."""
    circle = {"$ref": "#"}
    parts = {str(i): {"anyOf": [{"$ref": f"#/$defs/{i + 1}"}] * 20} for i in range(7)}
    tree = {"$defs": {**parts, "7": {"type": "null"}}, "$ref": "#/$defs/0"}
    for wide in (circle, tree):
        with pytest.raises(InputError, match="too long"):
            Inclusion(wide).misfit(TEXT, wide)
