"""Which examples are computed together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW = 8  # batches among which examples are put next to others of their length


def by_length(ids: Sequence[Sequence[int]], batch: int) -> list[list[int]]:
    """Indices of all rows in batches of rows of similar length, longest first (memory peaks at once, not late)."""
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    return [order[start : start + batch] for start in range(0, len(order), batch)]


def shuffled(
    ids: Sequence[Sequence[int]], batch: int, random: np.random.Generator, labels: NDArray[Any] | None = None
) -> list[list[int]]:
    """One pass over all rows in batches, in random order. Rows of similar length are together, and with `labels` (N)
    nearly every row is in a batch with another one of its label."""
    units = _pairs(labels, random) if labels is not None else [[int(i)] for i in random.permutation(len(ids))]
    window = WINDOW * max(1, batch // max(map(len, units)))
    order = [
        i
        for start in range(0, len(units), window)
        for unit in sorted(units[start : start + window], key=lambda unit: len(ids[unit[0]]))
        for i in unit
    ]
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    return [batches[i] for i in random.permutation(len(batches))]


def _pairs(labels: NDArray[Any], random: np.random.Generator) -> list[list[int]]:
    """All rows in pairs of one label, in random order; of a label with an odd number one row stays alone."""
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    borders = np.flatnonzero(np.diff(labels[order])) + 1
    pairs = [
        together[start : start + 2].tolist()
        for together in np.split(order, borders)
        for start in range(0, len(together), 2)
    ]
    return [pairs[i] for i in random.permutation(len(pairs))]


def thinned(row: Sequence[int], share: float, random: np.random.Generator) -> list[int]:
    """Token ids of which each but the first and the last is left out with probability `share`; never all of them."""
    inner = [token for token, place in zip(row[1:-1], random.random(max(0, len(row) - 2))) if place >= share]
    return [row[0], *inner, row[-1]] if inner else list(row)
