"""JSON schemas of records: the one that every answer of a form obeys, and what a given one says of each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.json_schema import Checker, resolve
from nanosmith.core.limits import MAX_BODY_BYTES
from nanosmith.core.record import ENTITIES, Field, RecordForm

Schema = Mapping[str, Any]
MAX_DEPTH = 16
REMEDY = "Write a JSON schema whose root has the type object, such as pydantic's model_json_schema() gives."
NULL = {"type": "null"}


class Spec(msgspec.Struct, frozen=True):
    """What a schema says of one field: its `values` as JSON texts (None: they are open), and whether it is a list of
    them (`many`)."""

    values: tuple[str, ...] | None
    many: bool


def read_schema(path: Path | str) -> dict[str, Any]:
    """A schema from a file: the schema itself, or an object that holds it, as a request's `response_format` does.
    Raises InputError."""
    try:
        with Path(path).open("rb") as file:
            content = msgspec.json.decode(file.read(MAX_BODY_BYTES))
    except OSError as error:
        raise InputError("the schema cannot be read", where=str(path), got=error.strerror, param="schema") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError("the schema is not JSON", where=str(path), got=error, remedy=REMEDY, param="schema") from None
    return checked_schema(unwrapped(content), str(path))


def unwrapped(content: Any) -> Any:
    """The schema inside a `response_format` or a tool."""
    for keys in (("json_schema", "schema"), ("function", "parameters"), ("schema",), ("parameters",)):
        inner = content
        for key in keys:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            return inner
    return content


def checked_schema(content: Any, where: str) -> dict[str, Any]:
    """Raises InputError unless this is a schema of objects, with keywords that can be promised."""
    if not isinstance(content, dict) or not isinstance(_plain(content, content).get("properties"), dict):
        got = "a schema without properties" if isinstance(content, dict) else type(content).__name__
        raise InputError("not the schema of a record", where=where, got=got, remedy=REMEDY, param="schema")
    specs_of(content)
    return content


def misfit(answer: Any, schema: Schema) -> str | None:
    """Why an answer does not obey a schema, in words; None where it does. Raises InputError for what the schema cannot
    promise."""
    root = dict(schema)
    if Checker(root).fits(answer, root):
        return None
    return _reason(answer, root, root, "", 0)


def specs_of(schema: Schema) -> dict[tuple[str, ...], Spec]:
    """What a schema says of each field, by its path."""
    root = dict(schema)
    return dict(_specs(root, root, (), 0))


def schema_of(form: RecordForm) -> dict[str, Any]:
    """The JSON schema that every answer of this form obeys."""
    root: dict[str, Any] = _object()
    for field in form.fields:
        place, optional = root, field.missing == "absent"
        for key in field.path[:-1]:
            place = place["properties"].setdefault(key, _object())
        place["properties"][field.path[-1]] = _of_field(field)
        if not optional:
            place["required"].append(field.path[-1])
    for inner in form.inner:
        around = root
        for key in inner.path[:-1]:
            around = around["properties"][key]
        around["required"].append(inner.path[-1])
        around["properties"][inner.path[-1]]["type"] = ["object", "null"] if inner.missing == "null" else "object"
    _require_parents(root)
    if form.entities:
        root["properties"][ENTITIES] = {"type": "array", "items": _of_entities(form.entities)}
        root["required"].append(ENTITIES)
    return root


def _object() -> dict[str, Any]:
    return {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def _require_parents(schema: dict[str, Any]) -> None:
    """An inner object is always there where one of its fields is."""
    for key, inner in schema["properties"].items():
        if "properties" in inner:
            _require_parents(inner)
            if inner["required"] and key not in schema["required"]:
                schema["required"].append(key)


def _of_field(field: Field) -> dict[str, Any]:
    if field.type in ("choice", "constant"):
        return {"enum": [msgspec.json.decode(value) for value in field.values]}
    if field.type == "choices":
        items = {"enum": [msgspec.json.decode(value) for value in field.values]}
        return {"type": _or_null("array", field), "items": items}
    one = _type_of(field.normal)
    if field.type == "spans":
        return {"type": _or_null("array", field), "items": {"type": one}}
    if field.missing == "empty" and one != "string":
        return {"anyOf": [{"type": one}, {"const": ""}]}
    return {"type": _or_null(one, field)}


def _or_null(kind: str, field: Field) -> str | list[str]:
    return [kind, "null"] if field.missing == "null" else kind


def _type_of(normal: str) -> str:
    last = normal.rpartition("+")[2].partition(":")[0]
    return "integer" if last == "integer" else "number" if last in ("number", "float", "percent") else "string"


def _of_entities(labels: tuple[str, ...]) -> dict[str, Any]:
    parts = {
        "label": {"enum": list(labels)}, "start": {"type": "integer"}, "end": {"type": "integer"},
        "text": {"type": "string"},
    }  # fmt: skip
    return {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}


def _specs(
    schema: Any, root: dict[str, Any], path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], Spec]]:
    plain = _plain(schema, root)
    if depth > MAX_DEPTH:
        raise InputError("the schema is nested too deeply, or refers to itself", allowed=f"{MAX_DEPTH} levels")
    if isinstance(plain.get("properties"), dict):
        for key, inner in plain["properties"].items():
            yield from _specs(inner, root, (*path, key), depth + 1)
        return
    many = isinstance(plain.get("items"), dict)
    yield path, Spec(_values(_plain(plain["items"], root) if many else plain), many)


def _values(schema: dict[str, Any]) -> tuple[str, ...] | None:
    """The values that a schema names, as JSON texts."""
    named = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if named is None and schema.get("type") == "boolean":
        named = [False, True]
    return tuple(sorted({_json(value) for value in named})) if isinstance(named, list) else None


def _plain(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """A schema without references, and without null where it is one of two types."""
    for _ in range(MAX_DEPTH):
        if not isinstance(schema, dict):
            return {}
        if isinstance(schema.get("$ref"), str):
            schema = resolve(schema["$ref"], root)
        elif isinstance(schema.get("anyOf"), list):
            others = [one for one in schema["anyOf"] if one != NULL]
            schema = others[0] if len(others) == 1 else {}
        else:
            break
    kinds = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(kinds, list) and "null" in kinds:
        others = [kind for kind in kinds if kind != "null"]
        return {**schema, "type": others[0] if len(others) == 1 else others}
    return schema if isinstance(schema, dict) else {}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _reason(value: Any, schema: Any, root: dict[str, Any], path: str, depth: int) -> str:
    """The innermost field that does not obey."""
    plain = _plain(schema, root)
    where = f"`{path}`" if path else "the answer"
    properties = plain.get("properties")
    if isinstance(value, dict) and isinstance(properties, dict) and depth < MAX_DEPTH:
        for name in plain.get("required", []):
            if name not in value:
                return f"{where} has no `{name}`, which the schema requires"
        for name, inner in properties.items():
            if name in value and not Checker(root).fits(value[name], inner):
                return _reason(value[name], inner, root, f"{path}.{name}".lstrip("."), depth + 1)
        unknown = [name for name in value if name not in properties]
        if unknown:
            return f"{where} has a field `{unknown[0]}`, which the schema does not allow"
    allowed = plain.get("enum") or [plain.get("const", plain.get("type", "another type"))]
    return f"{where} is {_json(value)[:80]} (allowed {', '.join(map(str, allowed))[:200]})"
