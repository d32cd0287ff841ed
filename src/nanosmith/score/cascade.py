"""When a quick model may answer in the place of a thorough one: the threshold on its confidence, and what it costs.

Letters: N examples that neither model has seen.
"""

from __future__ import annotations

import msgspec
import numpy as np

from nanosmith.score.intervals import Interval, paired_difference
from nanosmith.score.metrics import Bools, Floats

NEVER = 2.0  # a threshold that no confidence reaches
FOLDS = 10


class Stages(msgspec.Struct, frozen=True):
    """Two models on the same `n` examples, of which the quick one answers the `share` in [0, 1] where its confidence is
    `threshold` and more.

    `loss_points` is the accuracy of the thorough model alone less that of both, in points, with its 95 % interval: each
    tenth of the examples is judged by a threshold that the others chose. The accuracies are shares in [0, 1].
    """

    threshold: float
    n: int
    share: float
    loss_points: float
    loss_interval: Interval
    quick_accuracy: float
    thorough_accuracy: float
    accuracy: float


def choose_threshold(confidence: Floats, quick: Bools, thorough: Bools, max_loss_points: float) -> float:
    """The smallest threshold whose loss, with one standard error added, is not above `max_loss_points`.

    `confidence` (N) is the quick model's; `quick` and `thorough` (N) tell whether each is right.
    """
    order = np.argsort(-confidence, kind="stable")
    change = thorough[order].astype(int) - quick[order]
    loss = np.cumsum(change)
    error = np.sqrt(np.cumsum(change != 0) + 1.0)
    ranked = confidence[order]
    ends = np.append(ranked[1:] < ranked[:-1], True)  # equal confidences are answered alike
    allowed = np.flatnonzero(ends & (100 * (loss + error) <= max_loss_points * len(order)))
    return float(ranked[allowed[-1]]) if len(allowed) else NEVER


def measure_stages(
    confidence: Floats, quick: Bools, thorough: Bools, max_loss_points: float, *, seed: int = 0
) -> Stages:
    """Choose the threshold by all examples, and estimate its loss by folds. N > 0."""
    n = len(confidence)
    threshold = choose_threshold(confidence, quick, thorough, max_loss_points)
    fold = np.random.default_rng(seed).permutation(n) % min(FOLDS, n)
    taken = np.zeros(n, dtype=bool)  # by the quick model
    for number in range(FOLDS):
        others = fold != number
        taken[~others] = confidence[~others] >= choose_threshold(
            confidence[others], quick[others], thorough[others], max_loss_points
        )
    lost, won = int((taken & thorough & ~quick).sum()), int((taken & quick & ~thorough).sum())
    low, high = paired_difference(lost, won, n)
    answers = confidence >= threshold
    return Stages(
        threshold=threshold, n=n, share=float(answers.mean()), loss_points=100 * (lost - won) / n,
        loss_interval=(100 * low, 100 * high), quick_accuracy=float(quick.mean()),
        thorough_accuracy=float(thorough.mean()), accuracy=float(np.where(answers, quick, thorough).mean()),
    )  # fmt: skip
