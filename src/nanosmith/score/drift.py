"""Is traffic still like a sample? Two-sample tests of what each request looks like, and of answered labels.

Letters: N values, C labels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from nanosmith.core.certificate import Reference

QUANTILES = 201
DRAWS = 400  # of a sample from both, to see how far apart they are by chance
TERMS = 20  # of a series that falls off like exp(-k²)


class Sight(msgspec.Struct, frozen=True):
    """What a request looks like from here: how sure its local answer is (-1: it is never given), what is answered
    (empty: no label), its characters, and how many of them make a token: typos, names and other languages make more
    tokens of the same text."""

    confidence: float
    label: str
    chars: float
    chars_per_token: float


MEASURES = ("confidence", "chars", "chars_per_token")


class Shift(msgspec.Struct, frozen=True):
    """The measure that is furthest from the sample, how far (see `apart`), and the chance of that in the same traffic,
    whichever measure it were."""

    measure: str
    apart: float
    chance: float


def reference(sights: Sequence[Sight]) -> Reference:
    """What the traffic of a sample looks like."""
    shares = np.linspace(0, 1, QUANTILES)
    quantiles = {name: np.quantile(_values(sights, name), shares, method="inverted_cdf") for name in MEASURES}
    labels = Counter(one.label for one in sights if one.label)
    return Reference({name: tuple(map(float, found)) for name, found in quantiles.items()}, dict(labels))


def input_shift(sights: Sequence[Sight], known: Reference, n: int) -> Shift:
    """How far requests are from a sample of `n`."""
    found = [Shift(name, *apart(_values(sights, name), quantiles, n)) for name, quantiles in known.quantiles.items()]
    least = min(found, key=lambda one: one.chance)
    return msgspec.structs.replace(least, chance=min(1.0, least.chance * len(found)))


def _values(sights: Sequence[Sight], measure: str) -> list[float]:
    return [getattr(one, measure) for one in sights]


def apart(values: Sequence[float], quantiles: Sequence[float], n: int) -> tuple[float, float]:
    """How far the values (N) are from a sample of `n` with these evenly spaced quantiles: the largest difference of
    their distribution functions, and the chance of one as large (Kolmogorov 1933, Smirnov 1948).

    The quantiles stand for the sample, so one step of theirs is taken off the difference.
    """
    ordered, known = np.sort(values), np.asarray(quantiles)
    m, steps = len(ordered), np.arange(1, len(ordered) + 1) / len(ordered)
    upto = np.searchsorted(known, ordered, "right") / len(known)
    below = np.searchsorted(known, ordered, "left") / len(known)
    last = np.append(ordered[1:] > ordered[:-1], True)  # of each run of equals
    first = np.append(True, ordered[1:] > ordered[:-1])
    found = max(float((steps - upto)[last].max()), float((below - steps + 1 / m)[first].max()))
    found = max(0.0, found - 1 / (len(known) - 1))
    return found, _kolmogorov(math.sqrt(m * n / (m + n)) * found)


def label_shift(labels: Mapping[str, int], reference: Mapping[str, int], seed: int = 0) -> tuple[float, float]:
    """How far counts of labels (C) are from those of a reference: the share of answers that would have to change, and
    the chance of so large a chi-square distance.

    Where labels are many and rare the usual table does not hold: a gamma distribution is fitted to the distances of
    samples that are drawn from both without replacement.
    """
    names = sorted({*labels, *reference})
    ours, theirs = (np.array([counts.get(name, 0) for name in names]) for counts in (labels, reference))
    m, n, both = int(ours.sum()), int(theirs.sum()), ours + theirs
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(both, m, DRAWS, method="marginals")
    expected = both * (m / (m + n))
    distances = ((drawn - expected) ** 2 / expected).sum(axis=1)
    distance = float(((ours - expected) ** 2 / expected).sum())
    moved = float(np.abs(ours / m - theirs / n).sum() / 2)
    mean, variance = float(distances.mean()), float(distances.var())
    if variance == 0:
        return moved, 1.0
    return moved, _gamma_tail(distance, mean, variance)


def _kolmogorov(x: float) -> float:
    """The chance that the limit of Kolmogorov's statistic is above x."""
    if x < 0.2:
        return 1.0
    series = sum((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, TERMS))
    return float(min(1.0, max(0.0, 2 * series)))


def _gamma_tail(x: float, mean: float, variance: float) -> float:
    """The chance of more than x of a gamma distribution, by the cube root that is nearly normal (Wilson and Hilferty
    1931)."""
    shape = mean**2 / variance
    z = ((x / mean) ** (1 / 3) - (1 - 1 / (9 * shape))) * math.sqrt(9 * shape)
    return float(0.5 * math.erfc(z / math.sqrt(2)))
