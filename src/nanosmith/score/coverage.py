"""What share of requests can be answered at which accuracy, when unsure answers are passed on.

The risk-coverage curve of selective classification (El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017). The figures
are those of the test set: no bound for other traffic.
"""

from __future__ import annotations

import msgspec
import numpy as np

from nanosmith.score.metrics import Bools, Floats

POINTS = 100
TARGETS = (0.90, 0.95, 0.97, 0.98, 0.99)


class CoveragePoint(msgspec.Struct, frozen=True):
    """Of all answers, the share `coverage` has at least this `confidence`; of these `accuracy` is right. In [0, 1]."""

    confidence: float
    coverage: float
    accuracy: float


class Target(msgspec.Struct, frozen=True):
    """The most that can be answered with at least `accuracy`; `best` is None where no threshold reaches it."""

    accuracy: float
    best: CoveragePoint | None


def coverage_curve(confidence: Floats, correct: Bools) -> tuple[CoveragePoint, ...]:
    """One point per different confidence, most confident first; the last one covers everything."""
    order = np.argsort(-confidence, kind="stable")
    descending = confidence[order]
    last = np.flatnonzero(np.append(descending[1:] < descending[:-1], True))[: len(order)]  # end of each run of equals
    right = np.cumsum(correct[order])[last]
    answered = last + 1
    return tuple(
        CoveragePoint(float(c), float(a / len(order)), float(r / a))
        for c, a, r in zip(descending[last], answered, right, strict=True)
    )


def thinned(curve: tuple[CoveragePoint, ...], points: int = POINTS) -> tuple[CoveragePoint, ...]:
    """At most `points` points of a curve, evenly spaced in coverage, with both ends."""
    if len(curve) <= points:
        return curve
    coverage = np.array([point.coverage for point in curve])
    chosen = np.searchsorted(coverage, np.linspace(coverage[0], coverage[-1], points))
    return tuple(curve[i] for i in np.unique(chosen))


def answerable(curve: tuple[CoveragePoint, ...], accuracy: float) -> Target:
    """The point of the curve with the largest coverage among those that reach the accuracy."""
    fit = [point for point in curve if point.accuracy >= accuracy]
    return Target(accuracy, max(fit, key=lambda point: point.coverage, default=None))
