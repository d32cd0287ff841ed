"""Whether an answer fits a JSON Schema: the few keywords that a label, a list of labels or one field can need.

`type`, `enum`, `const`, `items`, `properties`, `required`, `additionalProperties` (as a boolean), `anyOf` and `$ref`
inside the schema, as in JSON Schema 2020-12. Any other keyword that could forbid something is refused, not skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanosmith.core.errors import InputError

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


def fits(value: Any, schema: Any, root: dict[str, Any], depth: int = 0) -> bool:
    """Whether `value` is valid under `schema`, a part of `root`. Raises InputError for what is not understood."""
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        raise _unknown("a schema must be an object of limited depth")
    return all(_check(keyword, limit, value, schema, root, depth + 1) for keyword, limit in schema.items())


def _check(keyword: str, limit: Any, value: Any, schema: dict[str, Any], root: dict[str, Any], depth: int) -> bool:
    if keyword in WORDS:
        return True
    if keyword == "$ref":
        return fits(value, _resolve(limit, root), root, depth)
    if keyword == "anyOf":
        return any(fits(value, one, root, depth) for one in _list(keyword, limit))
    if keyword in _LIMITS:
        return _LIMITS[keyword](limit, value)
    if keyword == "items":
        return not isinstance(value, list) or all(fits(item, limit, root, depth) for item in value)
    if keyword == "properties":
        return not isinstance(value, dict) or all(
            fits(value[name], part, root, depth) for name, part in _object(keyword, limit).items() if name in value
        )
    if keyword == "additionalProperties" and isinstance(limit, bool):
        return limit or not isinstance(value, dict) or value.keys() <= schema.get("properties", {}).keys()
    raise _unknown(f"the keyword {keyword[:40]!r} is not understood")


def _has_type(limit: Any, value: Any) -> bool:
    names = limit if isinstance(limit, list) else [limit]
    if not all(isinstance(name, str) and name in TYPES for name in names):
        raise _unknown("unknown type")
    return any(TYPES[name](value) for name in names)


_LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "type": _has_type,
    "enum": lambda limit, value: value in _list("enum", limit),
    "const": lambda limit, value: bool(value == limit),
    "required": lambda limit, value: not isinstance(value, dict) or set(_list("required", limit)) <= value.keys(),
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
