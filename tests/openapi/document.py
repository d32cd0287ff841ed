"""OpenAI's document as this server keeps to it: the subset, what we answer differently, what a test asks, links."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from tests.openapi.deviations import ANSWERS, OURS, REQUESTS
from tests.openapi.links import LINKS
from tests.openapi.subset import SUBSET, references

SCHEMAS = "#/components/schemas/"
ASKED = "Asked"
"""Before the names of the schemas of requests, which are copies: what is asked is narrowed, what is answered is not."""
ERROR = {
    "description": "An error.",
    "content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}ErrorResponse"}}},
}
MOST = 100
"""The largest page of most lists; the document has it in words."""


def document() -> dict[str, Any]:
    found = as_3_1(json.loads(SUBSET.read_text()))
    found["paths"] |= copy.deepcopy(OURS)
    split(found)
    schemas = found["components"]["schemas"]
    found["components"]["schemas"] = {
        name: narrow(schema, schemas) if name.startswith(ASKED) else nullable(schema)
        for name, schema in schemas.items()
    }
    for change in (*ANSWERS, *REQUESTS):
        merge(at(found, change.where), change.patch)
    operations = {f"{m.upper()} {path}": one for path, methods in found["paths"].items() for m, one in methods.items()}
    for operation in operations.values():
        finish(operation)
    for i, link in enumerate(LINKS):
        answer = next(iter(operations[link.source]["responses"].values()))
        answer.setdefault("links", {})[f"link{i}"] = link.written(operations)
    return found


def as_3_1(node: Any) -> Any:
    """The document says that it is OpenAPI 3.1, and still has keywords of 3.0. Its alternatives are not exclusive: many
    match the same value, such as EasyInputMessage and EvalItem; and its discriminators map no values to them."""

    def changed(found: dict[str, Any]) -> dict[str, Any]:
        found.pop("discriminator", None)
        if "oneOf" in found:
            found["anyOf"] = found.pop("oneOf")
        if found.get("exclusiveMinimum") is True:
            found["exclusiveMinimum"] = found.pop("minimum")
        return or_null(found) if found.pop("nullable", None) is True else found

    return rewritten(node, changed)


def rewritten(node: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """A copy in which every object, from the innermost on, is what `change` makes of it."""
    if isinstance(node, list):
        return [rewritten(one, change) for one in node]
    if not isinstance(node, dict):
        return node
    return change({name: rewritten(value, change) for name, value in node.items()})


def split(found: dict[str, Any]) -> None:
    """Give requests schemas of their own."""
    schemas = found["components"]["schemas"]
    operations = [one for methods in found["paths"].values() for one in methods.values()]
    bodies = [one["requestBody"] for one in operations if "requestBody" in one]
    for name in sorted(needed(bodies, schemas)):
        schemas[ASKED + name] = rewritten(schemas[name], _asked)
    for body in bodies:
        body["content"] = narrow(rewritten(body["content"], _asked), schemas)


def _asked(found: dict[str, Any]) -> dict[str, Any]:
    ref = found.get("$ref")
    return found | {"$ref": ref.replace(SCHEMAS, SCHEMAS + ASKED)} if isinstance(ref, str) else found


def needed(node: Any, schemas: dict[str, Any]) -> set[str]:
    """The names of the schemas that are referred to, directly or not."""
    found: set[str] = set()
    waiting = list(references(node))
    while waiting:
        name = waiting.pop().removeprefix(SCHEMAS)
        if name not in found:
            found.add(name)
            waiting += references(schemas[name])
    return found


def narrow(schema: Any, schemas: dict[str, Any]) -> Any:
    """Without fields that nobody knows, which are ignored; they would fill most of a request."""

    def changed(found: dict[str, Any]) -> dict[str, Any]:
        if "allOf" in found:
            return changed(joined(found, schemas))
        if isinstance(found.get("properties"), dict) and found.get("type") == "object":
            return {"additionalProperties": False} | found
        return found

    return rewritten(schema, changed)


def joined(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The objects of an allOf as one."""
    found: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    for part in schema.get("allOf", [schema]):
        if "$ref" in part:
            part = joined(schemas[part["$ref"].removeprefix(SCHEMAS)], schemas)
        elif "allOf" in part:
            part = joined(part, schemas)
        found["properties"] |= part.get("properties", {})
        found["required"] += part.get("required", [])
    return found


def nullable(schema: Any) -> Any:
    """In answers a property may be null where it may be missing: OpenAI's examples have it so (`data` of an event,
    `name` of a message), and all types of the client allow it. So are the ids of an empty list."""

    def changed(found: dict[str, Any]) -> dict[str, Any]:
        properties, required = found.get("properties"), set(found.get("required", ())) - {"first_id", "last_id"}
        if not isinstance(properties, dict) or found.get("type") != "object":
            return found
        shown = {name: one if name in required else or_null(one) for name, one in properties.items()}
        return found | {"properties": shown}

    return rewritten(schema, changed)


def or_null(schema: Any) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def finish(operation: dict[str, Any]) -> None:
    """Answers are what the document has for success, or an error of OpenAI's form; `limit` has its range."""
    answers = {code: answer for code, answer in operation["responses"].items() if code.startswith("2")}
    for answer in answers.values():
        if stream := answer.get("content", {}).get("text/event-stream"):
            stream["schema"] = event(stream["schema"])
    operation["responses"] = answers | {"4XX": ERROR}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "limit":
            parameter["schema"] |= {"minimum": 1, "maximum": MOST}


def event(schema: dict[str, Any]) -> dict[str, Any]:
    """An event of a stream; the document has only what its data is."""
    data = {"contentMediaType": "application/json", "contentSchema": schema}
    return {"type": "object", "required": ["data"], "properties": {"data": {"anyOf": [{"const": "[DONE]"}, data]}}}


def at(node: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) names. Raises KeyError where it is not there, as in a newer document."""
    for name in pointer.split("/"):
        name = name.replace("~1", "/").replace("~0", "~")
        node = node[int(name)] if isinstance(node, list) else node[name]
    return node


def merge(node: dict[str, Any], patch: dict[str, Any]) -> None:
    """A JSON merge patch (RFC 7396): null removes, objects are merged, anything else replaces."""
    for name, value in patch.items():
        if value is None:
            del node[name]
        elif isinstance(value, dict) and isinstance(node.get(name), dict):
            merge(node[name], value)
        else:
            node[name] = value
