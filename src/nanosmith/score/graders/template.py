"""Templates: `{{ item.x }}` and `{{ sample.output_json.list[0] }}` in a text stand for values.

A reference is a path of names and indexes and nothing else: there are no filters, calls or loops, and a value that
itself looks like a template is not filled in again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from nanosmith.core.limits import MAX_INPUT_CHARS
from nanosmith.score.graders.grade import Context, GradingError

REFERENCE = re.compile(r"\{\{([^{}]*)\}\}")
STEP = re.compile(r"""\.([^\s.\[\]"']+)|\[([0-9]+)\]|\["([^"\]]*)"\]|\['([^'\]]*)'\]""")
PATH = re.compile(rf"\s*(item|sample)((?:{STEP.pattern})+)\s*")
MAX_INDEX_DIGITS = 12
SHOWN_CHARS = 80


def fill(template: str, context: Context) -> str:
    """The text with every reference replaced by its value: texts as they are, all else as JSON.

    Raises GradingError for a reference that leads nowhere, and for a text over MAX_INPUT_CHARS.
    """
    pieces: list[str] = []
    chars = 0
    for piece in _pieces(template, context):
        pieces.append(piece)
        chars += len(piece)
        check_chars(chars, MAX_INPUT_CHARS)
    return "".join(pieces)


def check_template(template: str, where: str) -> None:
    """Raises GradingError for something in `{{ }}` that is no reference."""
    for found in REFERENCE.finditer(template):
        _path(found, where)


def references(template: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each reference as it is written, its namespace and its steps. Raises GradingError for what is none."""
    for found in REFERENCE.finditer(template):
        yield (_shown(found), *_path(found))


def look_up(path: str, context: Context) -> Any:
    """The value itself that a path such as `item.input` leads to. Raises GradingError."""
    found = REFERENCE.fullmatch(f"{{{{{path}}}}}")
    if found is None:
        raise GradingError("this is no reference", got=repr(path[:SHOWN_CHARS]), flag="invalid_variable_error")
    return _value(found, context)


def check_chars(chars: int, allowed: int) -> None:
    if chars > allowed:
        raise GradingError(
            "a text to be graded is too long, once its template is filled in",
            got=f"{chars} characters or more", allowed=f"{allowed} characters", flag="other_error",
        )  # fmt: skip


def _pieces(template: str, context: Context) -> Iterator[str]:
    end = 0
    for found in REFERENCE.finditer(template):
        yield template[end : found.start()]
        yield _rendered(_value(found, context))
        end = found.end()
    yield template[end:]


def _path(found: re.Match[str], where: str | None = None) -> tuple[str, list[str]]:
    """The namespace and the steps of a reference."""
    path = PATH.fullmatch(found[1])
    if path is None:
        raise GradingError(
            "this is no reference", got=_shown(found), where=where, param=where, flag="invalid_variable_error",
            allowed="{{ item.NAME }} or {{ sample.NAME }}, then .NAME or [0]",
        )  # fmt: skip
    return path[1], ["".join(filter(None, step.groups())) for step in STEP.finditer(path[2])]


def _value(found: re.Match[str], context: Context) -> Any:
    namespace, steps = _path(found)
    value: Any = context.item if namespace == "item" else context.sample
    if namespace == "sample" and steps[0] == "output_json" and "output_json" not in value:
        raise GradingError("the sample is not JSON", where=_shown(found), flag="sample_parse_error")
    for step in steps:
        value = _child(value, step, found)
    return value


def _child(value: Any, step: str, found: re.Match[str]) -> Any:
    try:
        if isinstance(value, list) and step.isdecimal():
            return value[int(step[:MAX_INDEX_DIGITS])]
        return value[step]
    except (LookupError, TypeError, ValueError) as error:
        names = _names(value)
        raise GradingError(
            f"there is no `{step[:SHOWN_CHARS]}`", where=_shown(found), allowed=names, flag="invalid_variable_error"
        ) from error


def _rendered(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _names(value: Any) -> str | None:
    """What could have been asked for instead."""
    if isinstance(value, list):
        return f"indexes below {len(value)}"
    return _some(value) if isinstance(value, dict) and value else None


def _some(names: Iterable[str], most: int = 5) -> str:
    shown = list(names)
    rest = len(shown) - most
    return ", ".join(name[:SHOWN_CHARS] for name in shown[:most]) + (f" and {rest} more" if rest > 0 else "")


def _shown(found: re.Match[str]) -> str:
    return found[0] if len(found[0]) <= SHOWN_CHARS else found[0][:SHOWN_CHARS] + "…"
