"""How many answers are right: accuracy, F1 per class and averaged, and which classes are taken for each other.

Letters: N examples, C classes. Answers are class numbers (N) for choice, a membership table (N, C) for labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.task import Value

Answers: TypeAlias = NDArray[np.integer] | NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.floating]
Bools: TypeAlias = NDArray[np.bool_]
MAX_TEXT_CHARS = 160
NOTHING: Sequence[None] = (None,)


class Counts(NamedTuple):
    """Per class (..., C): how often it was given rightly, given at all, and wanted."""

    right: NDArray[np.number]
    given: NDArray[np.number]
    wanted: NDArray[np.number]


class ClassRow(msgspec.Struct, frozen=True):
    """One class: precision, recall and F1 in [0, 1] (0 where undefined); `support` examples want it, `given` got it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    given: int


class Confusion(msgspec.Struct, frozen=True):
    """`count` answers gave `given` instead of `wanted`, with up to three of their texts, shortened.

    For labels, `given` is None where a label was only missed, and `wanted` None where one was only added.
    """

    wanted: str | None
    given: str | None
    count: int
    examples: tuple[str, ...]


def correct(wanted: Answers, given: Answers) -> Bools:
    """Which answers are wholly right (N); for labels the whole set must be equal."""
    same: Bools = wanted == given
    return same if same.ndim == 1 else np.all(same, axis=1)


def accuracy(wanted: Answers, given: Answers) -> float:
    """Share of wholly right answers in [0, 1]: accuracy for choice, subset accuracy for labels."""
    return float(correct(wanted, given).mean())


def counts(wanted: Answers, given: Answers, classes: int) -> Counts:
    """Counts (C) of each class."""
    if wanted.ndim == 2:
        return Counts((wanted & given).sum(axis=0), given.sum(axis=0), wanted.sum(axis=0))
    right = wanted[wanted == given]
    return Counts(*(np.bincount(numbers, minlength=classes) for numbers in (right, given, wanted)))


def f1(found: Counts) -> Floats:
    """F1 per class (..., C), 0 where a class was neither wanted nor given."""
    return _ratio(2 * found.right, found.given + found.wanted)


def macro_f1(found: Counts) -> Floats:
    """Mean F1 (...) over the classes that were wanted or given at least once."""
    occurs = (found.given + found.wanted) > 0
    return _ratio(f1(found).sum(axis=-1), occurs.sum(axis=-1))


def micro_f1(found: Counts) -> float:
    """F1 of all decisions pooled; equal to the accuracy for choice."""
    return float(_ratio(2 * found.right.sum(), found.given.sum() + found.wanted.sum()))


def right_by_size(wanted: Sequence[Value], given: Sequence[Value]) -> dict[int, tuple[int, int]]:
    """For each size of a wanted set, smallest first: how many answers are wholly right, and how many want that size."""
    found: dict[int, tuple[int, int]] = {}
    for want, got in zip(map(as_set, wanted), map(as_set, given), strict=True):
        right, n = found.get(len(want), (0, 0))
        found[len(want)] = (right + (want == got), n + 1)
    return dict(sorted(found.items()))


def per_class(names: Sequence[str], found: Counts) -> tuple[ClassRow, ...]:
    """One row per class that occurs, in the order of `names` (C)."""
    table = zip(
        names, _ratio(found.right, found.given), _ratio(found.right, found.wanted), f1(found), found.wanted, found.given
    )
    rows = (ClassRow(name, float(p), float(r), float(f), int(w), int(g)) for name, p, r, f, w, g in table)
    return tuple(row for row in rows if row.support or row.given)


def worst_confusions(
    wanted: Sequence[Value], given: Sequence[Value], texts: Sequence[str], *, limit: int = 20, examples: int = 3
) -> tuple[Confusion, ...]:
    """The most frequent pairs of a missed and a wrongly given class, most frequent first."""
    where: dict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for i, (want, got) in enumerate(zip(wanted, given, strict=True)):
        for pair in _pairs(want, got):
            where[pair].append(i)
    order = sorted(where.items(), key=lambda item: (-len(item[1]), item[0][0] or "", item[0][1] or ""))
    return tuple(
        Confusion(*pair, len(rows), tuple(shorten(texts[i]) for i in rows[:examples])) for pair, rows in order[:limit]
    )


def shorten(text: str, chars: int = MAX_TEXT_CHARS) -> str:
    """The text on one line of at most `chars` characters, cut with an ellipsis."""
    line = " ".join(text[: 4 * chars].split())
    return line if len(line) <= chars else line[: chars - 1] + "…"


def _pairs(wanted: Value, given: Value) -> Iterator[tuple[str | None, str | None]]:
    """What was confused in one answer: each missed class with each added one."""
    want, got = as_set(wanted), as_set(given)
    if want != got:
        yield from product(sorted(want - got) or NOTHING, sorted(got - want) or NOTHING)


def as_set(value: Value) -> frozenset[str]:
    return frozenset([value] if isinstance(value, str) else value)


def _ratio(top: NDArray[np.number], bottom: NDArray[np.number]) -> Floats:
    """top / bottom, 0 where bottom is 0."""
    share: Floats = np.divide(top, bottom, out=np.zeros(np.shape(bottom)), where=np.asarray(bottom) > 0)
    return share
