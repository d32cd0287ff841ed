"""95 % intervals: how far a figure may be off because the test set is a sample.

Letters: N examples, C classes or columns, K different cells (a wanted and a given answer), B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanosmith.score.metrics import Answers, Counts, Floats, macro_f1

Interval: TypeAlias = tuple[float, float]
Z95 = 1.959963984540054  # the 97.5 % quantile of the normal distribution
RESAMPLES = 1_000
CHUNK = 100  # resamples held in memory at once


def wilson(right: int, n: int, z: float = Z95) -> Interval:
    """The score interval of a share `right / n` (Wilson 1927, "Probable Inference"); (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    share, spread = right / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low = 0.0 if right == 0 else max(0.0, middle - half)
    return low, 1.0 if right == n else min(1.0, middle + half)


def paired_difference(lost: int, won: int, n: int, z: float = Z95) -> Interval:
    """How much the share of right answers fell, where of the same `n` examples `lost` became wrong and `won` right.

    Half an observation is added to each of the four cells (Agresti and Min 2005, "Simple improved confidence intervals
    for comparing matched proportions"). (-1, 1) when n is 0.
    """
    if n == 0:
        return -1.0, 1.0
    difference, changed = lost - won, lost + won + 1.0
    half = z * math.sqrt(changed - difference * difference / (n + 2)) / (n + 2)
    middle = difference / (n + 2)
    return max(-1.0, middle - half), min(1.0, middle + half)


def bootstrap_macro_f1(
    wanted: Answers, given: Answers, classes: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The 2.5 % and 97.5 % points of macro-F1 over resampled test sets (Efron 1979, percentile bootstrap).

    Examples with the same wanted and given answer are one cell, so a resample is K numbers, and its counts a product.
    """
    cell_of, tables = _cells(wanted, given, classes)
    n, cells = len(cell_of), len(tables.right)
    random = np.random.default_rng(seed)
    values = []
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        drawn = cell_of[random.integers(0, n, (size, n))] + cells * np.arange(size)[:, None]  # (B, N)
        number = np.bincount(drawn.ravel(), minlength=size * cells).reshape(size, cells).astype(np.float32)  # (B, K)
        values.append(macro_f1(Counts(*(number @ table for table in tables))))  # (B, K) @ (K, C) -> (B, C)
    low, high = np.percentile(np.concatenate(values), [2.5, 97.5])
    return float(low), float(high)


def bootstrap(
    found: Counts, figure: Callable[[Counts], Floats], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Floats, Floats]:
    """The 2.5 % and 97.5 % points of a figure over resampled examples; `found` has the counts of each example (N, C),
    and `figure` makes (...) of counts (..., C)."""
    n, tables = len(found.right), [table.astype(np.float32) for table in found]
    random = np.random.default_rng(seed)
    values = []
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        drawn = random.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float32)  # (B, N)
        values.append(figure(Counts(*(times @ table for table in tables))))
    low, high = np.percentile(np.concatenate(values), [2.5, 97.5], axis=0)
    return low, high


def _cells(wanted: Answers, given: Answers, classes: int) -> tuple[NDArray[np.integer], Counts]:
    """The cell of each example (N), and what one occurrence adds to the counts: three tables (K, C)."""
    both = np.concatenate([_columns(wanted), _columns(given)], axis=1)
    _, first, cell_of = np.unique(both, axis=0, return_index=True, return_inverse=True)
    want, got = (_members(answers[first], classes) for answers in (wanted, given))
    return cell_of, Counts(*(table.astype(np.float32) for table in (want & got, got, want)))


def _columns(answers: Answers) -> NDArray[np.integer]:
    """Answers as rows of few integers, to find equal ones quickly."""
    columns: NDArray[np.integer] = np.packbits(answers, axis=1) if answers.ndim == 2 else answers[:, None].astype(int)
    return columns


def _members(answers: Answers, classes: int) -> NDArray[np.bool_]:
    return answers if answers.ndim == 2 else answers[:, None] == np.arange(classes)  # type: ignore[return-value]
