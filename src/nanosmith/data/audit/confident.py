"""Which given labels are likely wrong, by out-of-fold probabilities: confident learning.

Source: Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels". What is off the
diagonal of the confident joint says how many labels are wrong. Which ones, the log odds of the best other label against
the given one say: they find labels that were mixed up with a near one better than the joint's own cells do. From which
odds a label is more likely wrong than right was set on planted errors (bench/label_errors.py); the count moves it.

Letters: N examples, L labels.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.data.audit.discriminant import Floats

TINY = 1e-12
USUAL_ODDS = 1.5  # log odds at which a given label is as likely wrong as right
FEW_ODDS = 10.0  # more, divided by the examples per label: few examples make poor probabilities
COUNTED_SHARE = 1 / 3  # of the odds above which there are as many labels as confident learning counts


class Doubts(msgspec.Struct, frozen=True):
    """For each example or each decision about a label, the probability that what was given is wrong, the best other
    label (where each example has one label), and how many wrong ones confident learning counts."""

    probability: Floats
    other: NDArray[np.int64] | None
    count: int


def doubt_choices(probabilities: Floats, given: NDArray[np.int64]) -> Doubts:
    """Doubts (N) about one given label (N) per example, by probabilities (N, L)."""
    rows = np.arange(len(given))
    logs = np.log(np.maximum(probabilities, TINY))
    own = logs[rows, given]
    logs[rows, given] = -np.inf
    other = logs.argmax(axis=1)
    count = _wrong(probabilities, given)
    return Doubts(_shifted(logs[rows, other] - own, count, len(given) / probabilities.shape[1]), other, count)


def doubt_memberships(probabilities: Floats, given: NDArray[np.bool_]) -> Doubts:
    """Doubts (N, L) about each of the given memberships (N, L); every label is a question of its own."""
    sure = np.clip(probabilities, TINY, 1 - TINY)
    odds = np.log(sure) - np.log1p(-sure)
    count = sum(
        _wrong(np.stack([1 - p, p], axis=1), member.astype(np.int64)) for p, member in zip(probabilities.T, given.T)
    )
    return Doubts(_shifted(np.where(given, -odds, odds), count, given.sum() / given.shape[1]), None, count)


def _wrong(probabilities: Floats, given: NDArray[np.int64]) -> int:
    """How many of the given labels (N) are wrong: those of examples that surely have another one.

    Surely has a label whose probability of it is at least the mean of the examples that are given it; of several such
    labels the most probable one counts.
    """
    n_labels = probabilities.shape[1]
    counts = np.bincount(given, minlength=n_labels)
    own = probabilities[np.arange(len(given)), given]
    thresholds = np.bincount(given, own, minlength=n_labels) / np.maximum(counts, 1)
    thresholds[counts == 0] = np.inf
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = confident.argmax(axis=1)
    return int(((confident.max(axis=1) >= 0) & (best != given)).sum())


def _shifted(odds: Floats, count: int, per_label: float) -> Floats:
    """sigmoid(odds - shift); the shift is what USUAL_ODDS says, drawn towards the `count`-th highest of the odds."""
    highest = np.sort(odds, axis=None)[::-1]
    counted = max(0.0, highest[count - 1] if count else highest[0])
    usual = USUAL_ODDS + FEW_ODDS / max(1.0, per_label)
    shift = (1 - COUNTED_SHARE) * usual + COUNTED_SHARE * counted
    found: Floats = 0.5 * (1 + np.tanh(0.5 * (odds - shift)))
    return found
