"""Bounds and alarms that hold at every moment of a stream, however often one looks: tests by betting.

A bettor bets on each value against a claim about the mean. While the claim is true, its capital reaches 1 / risk with
at most the chance `risk` (Ville 1939). Letters: N values.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nanosmith.score.metrics import Bools, Floats

HALVINGS = 40  # of an interval that holds a bound
MAX_BET = 0.5  # of what can be lost at once
WORSE = (1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0)
"""How many times as many disagreements as promised an alarm listens for."""
MOST_DISAGREEMENT = 0.9


def betting_bound(values: Floats | Bools, risk: float) -> float:
    """The lower confidence bound of the mean of independent values in [0, 1] (N), in the order in which they came.

    Predictable plug-in bets on a larger mean (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random
    variables by betting", section 4), for this many values. Capital falls as the claimed mean rises, so the bound is
    where it crosses 1 / risk.
    """
    x = np.asarray(values, dtype=np.float64)
    if not len(x):
        return 0.0
    bets, needed = _bets(x, risk), math.log(1 / risk)

    def given_up(mean: float) -> bool:
        grown = np.cumsum(np.log1p(np.minimum(bets, MAX_BET / max(mean, 1e-9)) * (x - mean)))
        return bool(grown.max() >= needed)

    return _crossing(given_up, 0.0, float(x.mean()))


def _bets(x: Floats, risk: float) -> Floats:
    """The bet on each value (N), from the values before it."""
    counts = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (counts + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (counts + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    bets: Floats = np.sqrt(2 * math.log(1 / risk) / (before * len(x)))
    return bets


def running_bound(agreed: int, disagreed: int, risk: float) -> float:
    """A lower bound of the share that agrees, which may be looked at after each answer.

    The bettor bets as if the next answer agreed with the share (agreed + 1/2) / (n + 1) (Krichevsky and Trofimov 1981);
    its capital is a beta mixture of likelihood ratios (Robbins 1970), so two counts are all there is to keep.
    """
    if not agreed:
        return 0.0
    mixture = _log_beta(agreed + 0.5, disagreed + 0.5) - _log_beta(0.5, 0.5)

    def given_up(share: float) -> bool:
        claimed = agreed * math.log(share) + disagreed * math.log1p(-share)
        return mixture - claimed >= math.log(1 / risk)

    return _crossing(given_up, 0.0, agreed / (agreed + disagreed))


def listen(levels: tuple[float, ...], agrees: bool, promise: float) -> tuple[float, ...]:
    """The levels of an alarm after one more answer; at the beginning all are 0. Their mean is the alarm's level.

    One level per share in WORSE: likelihood ratios, of a change at any moment before (Shiryaev 1963, Roberts 1966). As
    long as at least the share `promise` agrees, the mean level stays below L for L answers and more on average before
    it first reaches it (Shin, Ramdas and Rinaldo 2024, "E-detectors").
    """
    known = levels or (0.0,) * len(WORSE)
    return tuple((level + 1) * ratio for level, ratio in zip(known, _ratios(agrees, promise)))


def follow(levels: tuple[float, ...], agrees: bool, promise: float) -> tuple[float, ...]:
    """The same, but each is that of the most likely moment of the change (CUSUM: Page 1954): it rises at a
    disagreement, and is forgotten after as many agreements as that is worth. It gives no false alarm's rate; it tells
    where to look more closely."""
    known = levels or (1.0,) * len(WORSE)
    return tuple(max(level, 1.0) * ratio for level, ratio in zip(known, _ratios(agrees, promise)))


def _ratios(agrees: bool, promise: float) -> list[float]:
    """Likelihood ratios of an answer, one per share in WORSE."""
    shares = [min(MOST_DISAGREEMENT, times * (1 - promise)) for times in WORSE]
    return [(1 - share) / promise if agrees else share / (1 - promise) for share in shares]


def level_of(levels: tuple[float, ...]) -> float:
    return sum(levels) / len(levels) if levels else 0.0


def changed_at(agrees: Bools, promise: float) -> int:
    """The place in a stream (N) from which on it most likely disagreed twice as often as promised; 0 at the earliest.
    It is where the cumulative sum of the log-likelihood ratios is lowest (Page 1954)."""
    doubled = min(MOST_DISAGREEMENT, 2 * (1 - promise))
    steps = np.where(agrees, math.log((1 - doubled) / promise), math.log(doubled / (1 - promise)))
    return int(np.argmin(np.concatenate([[0.0], np.cumsum(steps)[:-1]])))


def _crossing(given_up: Callable[[float], bool], low: float, high: float) -> float:
    """The largest number that is given up, where all below it are; `low` where none is."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if given_up(middle) else (low, middle)
    return low


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
