"""Whether probabilities mean what they say, and how to make them do so.

Letters: N examples, L labels. Wanted answers are label numbers (N), -1 for a label that the model does not have, or
a membership table (N, L).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.score.metrics import Answers, Bools, Floats

Ints: TypeAlias = NDArray[np.integer]
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
MIN_THRESHOLD, MAX_THRESHOLD = 0.01, 0.99
PRIOR_EXAMPLES = 10  # with this many, a threshold is half-way between the usual and the best one
TINY = 1e-12  # the smallest probability that the NLL looks at
BINS = 15


class ReliabilityBin(msgspec.Struct, frozen=True):
    """`count` answers of similar confidence: their mean confidence beside the share that is right, both in [0, 1]."""

    confidence: float
    accuracy: float
    count: int


def fit_temperature(logits: Floats, wanted: Ints) -> float:
    """The T that minimises the NLL of softmax(logits / T) (Guo et al. 2017, "On Calibration of Modern
    Neural Networks").

    logits (N, L), wanted (N). T lies in [0.05, 20]; without examples it is 1. Where every example is right the
    likelihood would ask for T = 0; the targets are then 1 - 1/(N + 2), as for Platt (1999).
    """
    if not len(logits):
        return 1.0
    scores = np.asarray(logits, dtype=np.float64)
    scores = scores - scores.max(axis=1, keepdims=True)
    target = scores[np.arange(len(scores)), wanted]  # (N)
    if np.array_equal(scores.argmax(axis=1), wanted):
        others = (scores.sum(axis=1) - target) / max(1, scores.shape[1] - 1)
        target = target - (target - others) / (len(scores) + 2)

    def derivatives(sharpness: float) -> tuple[float, float]:
        powers = np.exp(sharpness * scores)
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        mean = np.einsum("nl,nl->n", probabilities, scores)
        square = np.einsum("nl,nl,nl->n", probabilities, scores, scores)
        return float((mean - target).mean()), float((square - mean**2).mean())

    return 1 / _minimum(derivatives)


def fit_sigmoid_temperature(logits: Floats, wanted: Bools) -> float:
    """The T that minimises the NLL of sigmoid(logits / T), all labels pooled; bounds and targets as above.

    logits (N, L), wanted (N, L).
    """
    if not np.size(logits):
        return 1.0
    scores = np.asarray(logits, dtype=np.float64)
    separable = np.array_equal(scores > 0, wanted)
    slack = 1 / (len(scores) + 2) if separable else 0.0
    targets = np.where(wanted, 1 - slack, slack)

    def derivatives(sharpness: float) -> tuple[float, float]:
        probabilities = 0.5 * (1 + np.tanh(0.5 * sharpness * scores))
        slope = (scores * (probabilities - targets)).mean()
        return float(slope), float((scores**2 * probabilities * (1 - probabilities)).mean())

    return 1 / _minimum(derivatives)


def _minimum(derivatives: Callable[[float], tuple[float, float]]) -> float:
    """The sharpness 1/T with slope zero: Newton's steps, halving (in the logarithm) where they leave the bracket.

    The NLL is convex in 1/T, so its slope changes sign once. A minimum outside of the bounds gives the nearer bound.
    """
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    if derivatives(low)[0] >= 0:
        return low
    if derivatives(high)[0] <= 0:
        return high
    sharpness = 1.0
    for _ in range(100):
        slope, curvature = derivatives(sharpness)
        low, high = (sharpness, high) if slope < 0 else (low, sharpness)
        newton = sharpness - slope / curvature if curvature > 0 else math.inf
        following = newton if low < newton < high else math.sqrt(low * high)
        if abs(following - sharpness) <= 1e-7 * sharpness:
            break
        sharpness = following
    return sharpness


def fit_thresholds(probabilities: Floats, wanted: Bools, *, at_least_one: bool = False) -> tuple[float, ...]:
    """Per label (L) the threshold with the best F1 on these examples, pulled towards the common one where the label is
    rare: with n positives the best one counts n / (n + 10); in [0.01, 0.99].

    probabilities (N, L), wanted (N, L). `at_least_one`: no answer is empty; see `fit_common_threshold`.
    """
    found = np.asarray(probabilities, dtype=np.float64)
    members = np.asarray(wanted, dtype=bool)
    common = fit_common_threshold(found, members, at_least_one=at_least_one)
    return tuple(_threshold(probability, member, common) for probability, member in zip(found.T, members.T))


def fit_common_threshold(probabilities: Floats, wanted: Bools, *, at_least_one: bool = False) -> float:
    """The threshold for all labels with which most sets are wholly right; of equal ones the nearest to 0.5.

    probabilities (N, L), wanted (N, L). A set is right where the threshold lies above all labels that are not wanted
    and not above one that is; with `at_least_one`, for which the most probable label is answered alone where none
    reaches the threshold, also wherever it lies above the only wanted label. With n sets that the threshold can make
    right it counts n / (n + 10) beside 0.5.
    """
    low = np.where(wanted, 0.0, probabilities).max(axis=1, initial=0.0)  # (N)
    high = np.where(wanted, probabilities, 1.0).min(axis=1, initial=1.0)  # (N)
    possible = high > low
    if at_least_one:
        high = np.where(possible & (wanted.sum(axis=1) == 1), 1.0, high)
    low, high = np.sort(low[possible]), np.sort(high[possible])
    edges = np.unique(np.concatenate([low, high]))
    if len(edges) < 2:
        return 0.5
    cuts = np.where((edges[:-1] < 0.5) & (edges[1:] > 0.5), 0.5, (edges[1:] + edges[:-1]) / 2)
    right = np.searchsorted(low, cuts) - np.searchsorted(high, cuts)  # sets whose (low, high] holds the cut
    best = cuts[right == right.max()]
    return _pulled(float(best[np.abs(best - 0.5).argmin()]), 0.5, len(low))


def _threshold(probability: Floats, member: Bools, common: float) -> float:
    """Of all cuts between different probabilities (N) the one with the best F1; of equal ones the nearest to `common`,
    and then pulled towards it."""
    order = np.argsort(-probability, kind="stable")
    above = probability[order]
    below = np.append(above[1:], 0.0)
    positives = int(member.sum())
    f1 = 2 * np.cumsum(member[order]) / (np.arange(1, len(above) + 1) + positives)
    f1[above <= below] = 0.0
    if not positives or not f1.any():
        return common
    cuts = ((above + below) / 2)[np.isclose(f1, f1.max(), rtol=1e-12)]
    return _pulled(float(cuts[np.abs(cuts - common).argmin()]), common, positives)


def _pulled(best: float, usual: float, examples: int) -> float:
    """Between the best value on so many examples and the usual one."""
    pulled = usual + (best - usual) * examples / (examples + PRIOR_EXAMPLES)
    return min(MAX_THRESHOLD, max(MIN_THRESHOLD, pulled))


def reliability_curve(confidence: Floats, correct: Bools, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """At most `bins` bins of about equally many answers, least confident first; equal confidences share one bin."""
    if not len(confidence):
        return ()
    _, group, number = np.unique(confidence, return_inverse=True, return_counts=True)
    middle = np.cumsum(number) - number / 2  # the middle rank of each different confidence
    bin_of = (middle * bins / len(confidence)).astype(int).clip(0, bins - 1)[group]  # (N)
    size = np.bincount(bin_of, minlength=bins)
    sums = [np.bincount(bin_of, weights=values, minlength=bins) for values in (confidence, correct)]
    return tuple(ReliabilityBin(float(c / n), float(r / n), int(n)) for c, r, n in zip(*sums, size, strict=True) if n)


def expected_calibration_error(confidence: Floats, correct: Bools, bins: int = BINS) -> float:
    """Mean gap in [0, 1] between confidence and accuracy over bins, weighted by their size.

    The measure is Naeini et al. 2015 ("Obtaining Well Calibrated Probabilities Using Bayesian Binning"), with the bins
    of equal mass of Nixon et al. 2019 ("Measuring Calibration in Deep Learning").
    """
    curve = reliability_curve(confidence, correct, bins)
    return sum(row.count * abs(row.confidence - row.accuracy) for row in curve) / max(1, len(confidence))


def brier(probabilities: Floats, wanted: Answers) -> float:
    """Mean squared error (Brier 1950): summed over labels for choice, in [0, 2]; else averaged over them, in [0, 1]."""
    if wanted.ndim == 2:
        return float(((probabilities - wanted) ** 2).mean())
    return float(((probabilities**2).sum(axis=1) - 2 * _of_wanted(probabilities, wanted) + 1).mean())


def negative_log_likelihood(probabilities: Floats, wanted: Answers) -> float:
    """Mean -log p in nats of the wanted label (choice), or of each yes or no (labels); p is at least 1e-12."""
    chosen = (
        np.where(wanted, probabilities, 1 - probabilities) if wanted.ndim == 2 else _of_wanted(probabilities, wanted)
    )
    return float(-np.log(np.maximum(chosen, TINY)).mean())


def _of_wanted(probabilities: Floats, wanted: Answers) -> Floats:
    """The probability (N) of each wanted label, 0 where the model does not have it."""
    found: Floats = np.where(wanted < 0, 0.0, probabilities[np.arange(len(wanted)), wanted])
    return found
