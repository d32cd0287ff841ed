"""Whether an answer fits a JSON Schema: the few keywords that a label, a list of labels or one field can need.

`type`, `enum`, `const`, `items`, `properties`, `required`, `additionalProperties` (as a boolean), `anyOf` and `$ref`
inside the schema, as in JSON Schema 2020-12. Any other keyword that could forbid something is refused, not skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_SCHEMA_STEPS

WORDS = (
    "title",
    "description",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "examples",
    "default",
    "uniqueItems",
)
"""Keywords that forbid nothing here: labels of one answer are always different."""
TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}
MAX_DEPTH = 16
CHEAP = 20
"""Values of an enum, or letters of a reference, that are looked through in one step."""


def fits(value: Any, schema: Any, root: dict[str, Any]) -> bool:
    """Whether `value` is valid under `schema`, a part of `root`. Raises InputError for what is not understood, or
    takes too many steps."""
    return Checker(root).fits(value, schema)


class Checker:
    """Checks values against parts of one schema. References make a small schema a large one, even an endless one, so
    the steps are counted, of all values together."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._steps = 0

    def fits(self, value: Any, schema: Any, depth: int = 0) -> bool:
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict) or depth > MAX_DEPTH:
            raise _unknown("a schema must be an object of limited depth")
        return all(self._check(keyword, limit, value, schema, depth + 1) for keyword, limit in schema.items())

    def _check(self, keyword: str, limit: Any, value: Any, schema: dict[str, Any], depth: int) -> bool:
        self._count(limit)
        if keyword in WORDS:
            return True
        if keyword == "$ref":
            return self.fits(value, _resolve(limit, self._root), depth)
        if keyword == "anyOf":
            return any(self.fits(value, one, depth) for one in _list(keyword, limit))
        if keyword in _LIMITS:
            return _LIMITS[keyword](limit, value)
        if keyword == "items":
            return not isinstance(value, list) or all(self.fits(item, limit, depth) for item in value)
        if keyword == "properties":
            return not isinstance(value, dict) or all(
                self.fits(value[name], part, depth) for name, part in _object(keyword, limit).items() if name in value
            )
        if keyword == "additionalProperties" and isinstance(limit, bool):
            return limit or not isinstance(value, dict) or value.keys() <= _properties(schema).keys()
        raise _unknown(f"the keyword {keyword[:40]!r} is not understood")

    def _count(self, limit: Any) -> None:
        """Raises InputError."""
        self._steps += 1 + (len(limit) // CHEAP if isinstance(limit, list | dict | str) else 0)
        if self._steps > MAX_SCHEMA_STEPS:
            raise _unknown(f"checking it takes more than {MAX_SCHEMA_STEPS} steps")


def _has_type(limit: Any, value: Any) -> bool:
    names = limit if isinstance(limit, list) else [limit]
    if not all(isinstance(name, str) and name in TYPES for name in names):
        raise _unknown("unknown type")
    return any(TYPES[name](value) for name in names)


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    return _object("properties", schema.get("properties", {}))


def _has_all(value: dict[str, Any], names: list[Any]) -> bool:
    return all(isinstance(name, str) and name in value for name in names)


_LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "type": _has_type,
    "enum": lambda limit, value: value in _list("enum", limit),
    "const": lambda limit, value: bool(value == limit),
    "required": lambda limit, value: not isinstance(value, dict) or _has_all(value, _list("required", limit)),
}


def _resolve(ref: Any, root: dict[str, Any]) -> Any:
    if not isinstance(ref, str) or not ref.startswith("#"):
        raise _unknown("a $ref must point into the same schema")
    found: Any = root
    for name in ref[1:].split("/")[1:]:
        if not isinstance(found, dict) or name not in found:
            raise _unknown(f"the $ref {ref[:80]!r} points nowhere")
        found = found[name]
    return found


def _list(keyword: str, limit: Any) -> list[Any]:
    if not isinstance(limit, list):
        raise _unknown(f"{keyword} must be a list")
    return limit


def _object(keyword: str, limit: Any) -> dict[str, Any]:
    if not isinstance(limit, dict):
        raise _unknown(f"{keyword} must be an object")
    return limit


def _unknown(what: str) -> InputError:
    return InputError(
        f"this JSON Schema cannot be promised: {what}",
        allowed="type, enum, const, items, properties, required, additionalProperties, anyOf, $ref",
        param="response_format.json_schema.schema",
    )
