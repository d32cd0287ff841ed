"""From the results of several seeds to a mean and an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, variance
from typing import NamedTuple

from bench.accuracy.results import Result

from nanosmith.score.intervals import Z95

SHARES = frozenset({"accuracy", "one_typo", "typos", "joined", "attack_kept", "oos_recall"})
"""Figures that are shares of a test's rows, so that the number of rows tells how far chance moves them."""


class Summary(NamedTuple):
    """In percent: the mean over `seeds` runs, and half the width of the 95 % interval; None where nothing tells it."""

    mean: float
    half: float | None
    seeds: int


def summary(results: Sequence[Result], figure: str) -> Summary | None:
    """One figure of one contender on one set; None where it was not measured.

    The variance is that of the mean over the seeds, and for shares that of a test of so many rows, which all seeds have
    in common.
    """
    found = [result for result in results if figure in result["figures"]]
    if not found:
        return None
    values = [result["figures"][figure] / 100 for result in found]
    middle, spread = mean(values), variance(values) / len(values) if len(values) > 1 else 0.0
    if figure in SHARES:
        spread += middle * (1 - middle) / found[-1]["counts"][figure]
    known = figure in SHARES or len(values) > 1
    return Summary(100 * middle, 100 * Z95 * math.sqrt(spread) if known else None, len(values))
