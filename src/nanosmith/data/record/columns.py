"""The answers of a data set, taken apart field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from nanosmith.core.record import ENTITIES

MAX_FIELDS = 200  # paths of all answers together; objects with more have keys that are data
MAX_DEPTH = 16  # levels of an answer


class _Absent:
    """Stands where an answer has no such key."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


class Column(msgspec.Struct):
    """One field at the keys `path`: its decoded value in each example (N), ABSENT where there is none."""

    path: tuple[str, ...]
    values: list[Any]

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def present(self) -> list[Any]:
        """The values that say something: neither absent, null, nor an empty text or list."""
        return [value for value in self.values if not is_missing(value)]


class Unlike(Exception):
    """The answers are not objects of one shape; the message says why."""


def is_missing(value: Any) -> bool:
    return value is ABSENT or value is None or value in ("", [], {})


def columns(answers: Sequence[Mapping[str, Any]]) -> list[Column]:
    """A Column for each field, in the order of the answers; entities with offsets aside. Raises Unlike."""
    order: list[tuple[str, ...]] = []
    known: set[tuple[str, ...]] = set()
    leaves = [dict(_leaves(answer, ())) for answer in answers]
    for found in leaves:
        last = -1
        for path in found:
            if path in known:
                last = order.index(path)
            elif len(order) == MAX_FIELDS:
                raise Unlike(f"there are more than {MAX_FIELDS} different fields: the keys are data")
            else:
                last += 1
                order.insert(last, path)
                known.add(path)
    made = [Column(path, [found.get(path, ABSENT) for found in leaves]) for path in order]
    return [column for column in made if not _is_parent(column, order)]


def _leaves(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value that is no object with its path. Raises Unlike."""
    if len(path) > MAX_DEPTH:
        raise Unlike(f"the answers are nested deeper than {MAX_DEPTH} levels")
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, (*path, key))
        elif path or key != ENTITIES or not is_entities(inner):
            yield (*path, key), inner


def is_entities(value: Any) -> bool:
    """Whether this is a list of entities with offsets."""
    return isinstance(value, list) and all(
        isinstance(one, dict) and {"label", "start", "end"} <= one.keys() for one in value
    )


def _is_parent(column: Column, paths: Sequence[tuple[str, ...]]) -> bool:
    """Whether the field is an object in other examples: it is then missing here, as all its fields. Raises Unlike."""
    size = len(column.path)
    if not any(len(path) > size and path[:size] == column.path for path in paths):
        return False
    if column.present():
        raise Unlike(f"the field {column.name!r} is an object in some answers, and something else in others")
    return True
