"""The answers of a data set, taken apart field by field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from nanosmith.core.record import ENTITIES, Inner

MAX_FIELDS = 200  # paths of all answers together; objects with more have keys that are data
MAX_DEPTH = 16  # levels of an answer
Counts: TypeAlias = dict[tuple[str, ...], Counter[str]]


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


def inner_objects(answers: Sequence[Mapping[str, Any]]) -> tuple[Inner, ...]:
    """The objects that are null or empty in some answers, and what they mostly are where they have no field; those that
    are mostly absent are left out."""
    counts: Counts = {}
    for answer in answers:
        _count_objects(answer, (), counts)
    return tuple(
        Inner(path, "null" if found["null"] > found["empty"] else "empty")
        for path, found in sorted(counts.items(), key=lambda pair: len(pair[0]))
        if found["object"] and found["null"] + found["empty"] > _absent(path, found, counts, len(answers))
    )


def _count_objects(value: Mapping[str, Any], path: tuple[str, ...], counts: Counts) -> None:
    """Of each key that holds an object: in how many it is one with fields, an empty one, or null."""
    for key, inner in value.items():
        kind = "null" if inner is None else "empty" if inner == {} else "object" if isinstance(inner, dict) else ""
        if kind:
            counts.setdefault((*path, key), Counter())[kind] += 1
        if kind == "object" and len(path) < MAX_DEPTH:
            _count_objects(inner, (*path, key), counts)


def _absent(path: tuple[str, ...], found: Counter[str], counts: Counts, n: int) -> int:
    """In how many of the objects around it (n answers, or the outer object) there is no such key."""
    around = counts[path[:-1]]["object"] + counts[path[:-1]]["empty"] if len(path) > 1 else n
    return around - found.total()


def is_missing(value: Any) -> bool:
    return value is ABSENT or value is None or value in ("", [], {})


def columns(answers: Sequence[Mapping[str, Any]]) -> list[Column]:
    """A Column for each field, in the order of the answers; entities with offsets aside. Raises Unlike."""
    order: list[tuple[str, ...]] = []
    known: set[tuple[str, ...]] = set()
    aside = {ENTITIES} if have_entities(answers) else set()
    leaves = [dict(_leaves({k: v for k, v in answer.items() if k not in aside}, ())) for answer in answers]
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
    kept = [column for column in made if not _is_parent(column, order)]
    for name, count in Counter(column.name for column in kept).items():
        if count > 1:
            raise Unlike(f"two fields are called {name!r}, as a key holds a point")
    return kept


def _leaves(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value that is no object with its path. Raises Unlike."""
    if len(path) > MAX_DEPTH:
        raise Unlike(f"the answers are nested deeper than {MAX_DEPTH} levels")
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, (*path, key))
        else:
            yield (*path, key), inner


def is_entities(value: Any) -> bool:
    """Whether this is a list of entities with offsets."""
    return isinstance(value, list) and all(
        isinstance(one, dict) and {"label", "start", "end"} <= one.keys() for one in value
    )


def have_entities(answers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the key "entities" holds entities with offsets; else it is a field like others."""
    held = [answer[ENTITIES] for answer in answers if answer.get(ENTITIES) is not None]
    return bool(held) and all(map(is_entities, held))


def entities_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entities with offsets of an answer; none where the key holds something else."""
    held: Any = answer.get(ENTITIES)
    return held if is_entities(held) else []


def _is_parent(column: Column, paths: Sequence[tuple[str, ...]]) -> bool:
    """Whether the field is an object in other examples: it is then missing here, as all its fields. Raises Unlike."""
    size = len(column.path)
    if not any(len(path) > size and path[:size] == column.path for path in paths):
        return False
    if column.present():
        raise Unlike(f"the field {column.name!r} is an object in some answers, and something else in others")
    return True
