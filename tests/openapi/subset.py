"""Cuts what this server has out of OpenAI's OpenAPI document.

python -m tests.openapi.subset openapi.yaml      # writes openai-subset.json beside this file
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nanosmith.server.app import RESOURCES

SUBSET = Path(__file__).with_name("openai-subset.json")
PARAMETER = re.compile(r"\{[^}]*\}")
REFUSED = {"/moderations"}
"""Served, but always with a 501."""
PROSE = {"description", "summary", "title", "tags", "example", "examples", "externalDocs", "deprecated", "security"}
BY_NAME = {"properties", "schemas", "responses", "$defs", "patternProperties", "content", "headers"}
"""Where the keys are names of things, none of which is prose."""


def served() -> set[tuple[str, str]]:
    """Method and path of each route, as ("get", "/files/{}")."""
    return {
        (method.lower(), PARAMETER.sub("{}", route.path))
        for resource in RESOURCES
        for route in resource.routes
        for method in route.methods
    }


def subset(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the served operations and the components that they need, without prose."""
    ours = served()
    paths: dict[str, Any] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if (method, PARAMETER.sub("{}", path)) in ours and path not in REFUSED:
                paths.setdefault(path, {})[method] = without_prose(operation)
    components = _needed(paths, document["components"])
    info = {name: document["info"][name] for name in ("title", "version", "license")}
    return {"openapi": document["openapi"], "info": info, "paths": paths, "components": components}


def without_prose(node: Any, *, names: bool = False) -> Any:
    if isinstance(node, list):
        return [without_prose(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept = node if names else {key: value for key, value in node.items() if _matters(key)}
    return {key: without_prose(value, names=not names and key in BY_NAME) for key, value in kept.items()}


def _matters(key: str) -> bool:
    return key not in PROSE and not key.startswith("x-")


def _needed(paths: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """The components that are referred to, directly or not, in the order of their names."""
    found: dict[str, dict[str, Any]] = {}
    waiting = list(references(paths))
    while waiting:
        kind, name = waiting.pop().split("/")[-2:]
        if name not in found.setdefault(kind, {}):
            found[kind][name] = without_prose(components[kind][name])
            waiting += references(found[kind][name])
    return {kind: dict(sorted(found[kind].items())) for kind in sorted(found)}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from references(one)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from references(value)


def written(document: dict[str, Any]) -> str:
    """As JSON, with a line for each path and component."""
    parts = [f'"paths": {_lines(document["paths"])}']
    kinds = [f"{json.dumps(kind)}: {_lines(found)}" for kind, found in document["components"].items()]
    parts.append('"components": {\n' + ",\n".join(kinds) + "}")
    head = [f"{json.dumps(name)}: {json.dumps(document[name])}" for name in ("openapi", "info")]
    return "{\n" + ",\n".join([*head, *parts]) + "}\n"


def _lines(found: dict[str, Any]) -> str:
    rows = [f"{json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in found.items()]
    return "{\n" + ",\n".join(rows) + "}"


def main() -> None:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(Path(sys.argv[1]).read_bytes(), loader)
    SUBSET.write_text(written(subset(document)))


if __name__ == "__main__":
    main()
