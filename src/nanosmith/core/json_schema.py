"""Whether a JSON value fits a JSON Schema: the keywords that labels and records need.

`type`, `enum`, `const`, `items`, `properties`, `required`, `additionalProperties` (as a boolean), `anyOf`, `allOf`,
lengths, counts and bounds, and `$ref` inside the schema, as in JSON Schema 2020-12. Any other keyword that could forbid
something is refused, not skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from operator import ge, gt, le, lt
from typing import Any
from uuid import UUID

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
FORMATS: dict[Any, Callable[[str], object]] = {
    "date": date.fromisoformat, "time": time.fromisoformat, "date-time": datetime.fromisoformat, "uuid": UUID,
}  # fmt: skip
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
            raise unsupported("a schema must be an object of limited depth")
        return all(self._check(keyword, limit, value, schema, depth + 1) for keyword, limit in schema.items())

    def _check(self, keyword: str, limit: Any, value: Any, schema: dict[str, Any], depth: int) -> bool:
        self._count(limit)
        if keyword in WORDS:
            return True
        if keyword == "$ref":
            return self.fits(value, resolve(limit, self._root), depth)
        if keyword in _JOINS:
            return _JOINS[keyword](self.fits(value, one, depth) for one in _list(keyword, limit))
        if keyword in _LIMITS:
            return _LIMITS[keyword](limit, value)
        if keyword in _SIZES:
            kind, measure, holds = _SIZES[keyword]
            return not TYPES[kind](value) or holds(measure(value), _number(keyword, limit))
        if keyword == "items":
            return not isinstance(value, list) or all(self.fits(item, limit, depth) for item in value)
        if keyword == "properties":
            return not isinstance(value, dict) or all(
                self.fits(value[name], part, depth) for name, part in _object(keyword, limit).items() if name in value
            )
        if keyword == "additionalProperties" and isinstance(limit, bool):
            return limit or not isinstance(value, dict) or value.keys() <= _properties(schema).keys()
        raise unsupported(f"the keyword {keyword[:40]!r} is not understood")

    def _count(self, limit: Any) -> None:
        """Raises InputError."""
        self._steps += 1 + (len(limit) // CHEAP if isinstance(limit, list | dict | str) else 0)
        if self._steps > MAX_SCHEMA_STEPS:
            raise unsupported(f"checking it takes more than {MAX_SCHEMA_STEPS} steps")


def _has_type(limit: Any, value: Any) -> bool:
    names = limit if isinstance(limit, list) else [limit]
    if not all(isinstance(name, str) and name in TYPES for name in names):
        raise unsupported("unknown type")
    return any(TYPES[name](value) for name in names)


def _is_same(one: Any, other: Any) -> bool:
    """true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _has_format(limit: Any, value: str) -> bool:
    if not isinstance(limit, str) or limit not in FORMATS:
        raise unsupported(f"the format {str(limit)[:40]!r} is not understood")
    try:
        FORMATS[limit](value)
    except ValueError:
        return False
    return True


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    return _object("properties", schema.get("properties", {}))


def _has_all(value: dict[str, Any], names: list[Any]) -> bool:
    return all(isinstance(name, str) and name in value for name in names)


_LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "type": _has_type,
    "enum": lambda limit, value: any(_is_same(value, one) for one in _list("enum", limit)),
    "const": lambda limit, value: _is_same(value, limit),
    "format": lambda limit, value: not isinstance(value, str) or _has_format(limit, value),
    "required": lambda limit, value: not isinstance(value, dict) or _has_all(value, _list("required", limit)),
}
_JOINS: dict[str, Callable[[Iterable[bool]], bool]] = {"anyOf": any, "allOf": all}
_SIZES: dict[str, tuple[str, Callable[[Any], float], Callable[[float, float], bool]]] = {
    "minLength": ("string", len, ge), "maxLength": ("string", len, le),
    "minItems": ("array", len, ge), "maxItems": ("array", len, le),
    "minProperties": ("object", len, ge), "maxProperties": ("object", len, le),
    "minimum": ("number", float, ge), "maximum": ("number", float, le),
    "exclusiveMinimum": ("number", float, gt), "exclusiveMaximum": ("number", float, lt),
}  # fmt: skip


def _number(keyword: str, limit: Any) -> float:
    if not TYPES["number"](limit):
        raise unsupported(f"{keyword} must be a number")
    return float(limit)


def resolve(ref: Any, root: dict[str, Any]) -> Any:
    if not isinstance(ref, str) or not ref.startswith("#"):
        raise unsupported("a $ref must point into the same schema")
    found: Any = root
    for name in ref[1:].split("/")[1:]:
        if not isinstance(found, dict) or name not in found:
            raise unsupported(f"the $ref {ref[:80]!r} points nowhere")
        found = found[name]
    return found


def _list(keyword: str, limit: Any) -> list[Any]:
    if not isinstance(limit, list):
        raise unsupported(f"{keyword} must be a list")
    return limit


def _object(keyword: str, limit: Any) -> dict[str, Any]:
    if not isinstance(limit, dict):
        raise unsupported(f"{keyword} must be an object")
    return limit


def unsupported(what: str) -> InputError:
    return InputError(
        f"this JSON Schema cannot be promised: {what}",
        allowed="type, enum, const, items, properties, required, additionalProperties, anyOf, allOf, $ref and bounds",
        code="unsupported_schema",
    )
