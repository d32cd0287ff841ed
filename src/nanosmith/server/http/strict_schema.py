"""The subset of JSON Schema that OpenAI's `strict: true` demands (Structured Outputs), checked before any is written.

Every object names all its properties as required and allows no others, so that an answer has one shape. Keywords that
limit a value (pattern, minimum, …) are left to the grammar, which refuses those that it cannot promise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nanosmith.core.errors import InputError

MAX_LEVELS = 10
MAX_PROPERTIES = 5_000
MAX_ENUM_VALUES = 1_000
MAX_SCHEMAS = 20_000  # all parts of a schema; OpenAI has no limit here
MAX_NAME_CHARS = 120_000
"""Of the names of properties and definitions, and of the values of enum and const, together."""
REFUSED = (
    "allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "oneOf", "patternProperties",
    "propertyNames", "unevaluatedProperties",
)  # fmt: skip
BELOW = ("properties", "$defs", "definitions")
FORMS = (
    ("properties", dict, "an object"), ("$defs", dict, "an object"), ("definitions", dict, "an object"),
    ("required", list, "an array"), ("enum", list, "an array"), ("anyOf", list, "an array"),
)  # fmt: skip
TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")


class Counts:
    """Of a whole schema."""

    def __init__(self) -> None:
        self.schemas = 0
        self.properties = 0
        self.enum_values = 0
        self.name_chars = 0


class Strict:
    """Checks one schema. `whose` is what it is of ("response_format 'Intent'", "function 'search'"), `param` its field
    in the request, `code` that of its errors."""

    def __init__(self, whose: str, *, param: str, code: str) -> None:
        self._whose = whose
        self._param = param
        self._code = code
        self._counts = Counts()

    def check(self, schema: Mapping[str, Any]) -> None:
        """Raises InputError in OpenAI's words, with the path of the place."""
        if schema.get("type") != "object" or "anyOf" in schema:
            raise self._wrong((), f"schema must be a JSON Schema of 'type: \"object\"', got {_shown_type(schema)}")
        self._part(schema, (), 1)

    def _part(self, schema: Any, path: tuple[str, ...], level: int) -> None:
        """`level` counts the objects and lists around it."""
        if not isinstance(schema, Mapping):
            raise self._wrong(path, "a schema must be an object")
        if level > MAX_LEVELS:
            raise self._wrong(path, f"more than {MAX_LEVELS} levels of nesting")
        for keyword in REFUSED:
            if keyword in schema:
                raise self._wrong(path, f"'{keyword}' is not permitted")
        self._check_form(schema, path)
        self._check_type(schema, path)
        self._count(schema, path)
        if "object" in _types(schema):
            self._object(schema, path)
        for step, part, deeper in _parts(schema):
            self._part(part, (*path, *step), level + deeper)

    def _check_form(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> None:
        for keyword, form, name in FORMS:
            if not isinstance(schema.get(keyword, form()), form):
                raise self._wrong(path, f"'{keyword}' must be {name}")
        names = [*schema.get("required", ()), *_types(schema)]
        if not all(isinstance(name, str) for name in names):
            raise self._wrong(path, "'required' and 'type' must have names")

    def _check_type(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> None:
        unknown = [name for name in _types(schema) if name not in TYPES]
        if unknown:
            raise self._wrong(path, f"{unknown[0][:40]!r} is no type")
        if not schema.keys() & {"type", "$ref", "anyOf", "enum", "const"}:
            raise self._wrong(path, "schema must have a 'type' key")
        if "array" in _types(schema) and "items" not in schema:
            raise self._wrong(path, "array schema missing items")

    def _object(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> None:
        if schema.get("additionalProperties") is not False:
            raise self._wrong(path, "'additionalProperties' is required to be supplied and to be false")
        properties, required = schema.get("properties", {}), set(schema.get("required", ()))
        missing = [name for name in properties if name not in required]
        unknown = sorted(required - properties.keys())
        if missing or unknown:
            extra = f"Extra required key '{unknown[0][:80]}' supplied" if unknown else ""
            told = f"Missing '{missing[0][:80]}'" if missing else extra
            what = "'required' is required to be supplied and to be an array including every key in properties. "
            raise self._wrong(path, what + told)

    def _count(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> None:
        counts = self._counts
        counts.schemas += 1
        counts.properties += sum(len(schema.get(keyword, ())) for keyword in BELOW)
        counts.enum_values += len(schema.get("enum", ()))
        for what, got, allowed in (
            ("schemas", counts.schemas, MAX_SCHEMAS),
            ("properties", counts.properties, MAX_PROPERTIES),
            ("values of enums", counts.enum_values, MAX_ENUM_VALUES),
        ):
            if got > allowed:
                raise self._wrong(path, f"more than {allowed} {what}")
        names = [name for keyword in BELOW for name in schema.get(keyword, ())]
        counts.name_chars += sum(len(str(one)) for one in (*names, *schema.get("enum", ()), schema.get("const", "")))
        if counts.name_chars > MAX_NAME_CHARS:
            raise self._wrong(path, f"more than {MAX_NAME_CHARS} characters of names and values")

    def _wrong(self, path: tuple[str, ...], what: str) -> InputError:
        text = f"Invalid schema for {self._whose}: In context=({', '.join(map(repr, path))}), {what}"
        return InputError(text, param=self._param, code=self._code)


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any, int]]:
    """The schemas inside: their path, and whether they are a level deeper."""
    for keyword in BELOW:
        for name, part in schema.get(keyword, {}).items():
            yield (keyword, name[:80]), part, int(keyword == "properties")
    for i, part in enumerate(schema.get("anyOf", ())):
        yield ("anyOf", str(i)), part, 0
    if "items" in schema:
        yield ("items",), schema["items"], 1


def _types(schema: Mapping[str, Any]) -> list[Any]:
    found = schema.get("type", [])
    return found if isinstance(found, list) else [found]


def _shown_type(schema: Mapping[str, Any]) -> str:
    found = schema.get("type")
    return f"'type: {str(found)[:40]!r}'" if "anyOf" not in schema else "'anyOf'"
