"""Decoded JSON to structs, with msgspec; what does not fit becomes an InputError that names the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.fields import WITHOUT_NUL

Struct = TypeVar("Struct")
SHOWN_CHARS = 80
MISSING_FIELD = re.compile(r"missing required field `([^`]+)`")
PATH = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
INDEX = re.compile(r"\[[^\]]*\]")
STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
WORDS = (("Object missing", "missing"), ("Expected", "expected"), (f"matching regex {WITHOUT_NUL!r}", "without NUL"))
"""msgspec's words, and ours."""
NOTHING: Mapping[str, str] = MappingProxyType({})


def to_struct(content: Mapping[str, Any], type: type[Struct], allowed: Mapping[str, str] = NOTHING) -> Struct:
    """Check a decoded body against its struct. `allowed` says what fields of these names may be, where that is more
    than their type. Raises InputError whose param is the path of the field, as `messages[0].role`."""
    try:
        return msgspec.convert(content, type)
    except msgspec.ValidationError as error:
        raise _explained(str(error), content, allowed) from error


def wrong_value(path: str, got: object, allowed: str, remedy: str | None = None) -> InputError:
    """For a field that has the right type."""
    return InputError(
        "not a valid value", where=path, got=_shown(got), allowed=allowed, remedy=remedy, param=_param(path)
    )


def without_none(content: Any) -> Any:
    """JSON without the fields that are null."""
    if isinstance(content, dict):
        return {name: without_none(value) for name, value in content.items() if value is not None}
    return [without_none(one) for one in content] if isinstance(content, list) else content


def _explained(message: str, content: Mapping[str, Any], allowed: Mapping[str, str]) -> InputError:
    found = PATH.search(message)
    path = found[1] if found else ""
    what = PATH.sub("", message)
    for theirs, ours in WORDS:
        what = what.replace(theirs, ours)
    if missing := MISSING_FIELD.search(message):
        path = f"{path}.{missing[1]}".lstrip(".")
        return InputError(what, param=path, code="missing_required_parameter")
    got, field = _at(content, path), INDEX.sub("", path).rpartition(".")[2]
    if field in allowed:
        return wrong_value(path, got, allowed[field])
    return InputError(what, where=path or None, got=_shown(got), param=_param(path))


def _param(path: str) -> str | None:
    """`[...]` stands for any key, which is no path that a client could follow."""
    return path.partition("[...]")[0] or None


def _at(content: Any, path: str) -> Any:
    """The value at a path such as `questions[0].type`, as far as the path can be followed."""
    for index, name in STEP.findall(path):
        if name == "...":
            return content
        try:
            content = content[int(index)] if index else content[name]
        except (LookupError, TypeError):
            return content
    return content


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
