"""How well queries that are about none of the labels are told from the others.

Letters: N in-scope examples, M out-of-scope ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from nanosmith.core.prediction import Prediction
from nanosmith.score.intervals import Interval, wilson
from nanosmith.score.metrics import Bools, Floats

POINTS = 101
KEPT = 0.95  # of the in-scope examples, at which scores are usually compared


class ScopePoint(msgspec.Struct, frozen=True):
    """At the threshold where the share `inside` of the in-scope examples is refused, `outside` of the others is too."""

    inside: float
    outside: float


class ScopeFigures(msgspec.Struct, frozen=True):
    """Figures of `inside` in-scope examples and `outside` out-of-scope ones; shares in [0, 1].

    At the bundle's own threshold `refused` of the in-scope examples and `recall` of the out-of-scope ones are refused,
    and `answered_accuracy` of the in-scope ones that are answered are right. Without a threshold: `auroc` is the chance
    that an out-of-scope example has a higher score than an in-scope one, `recall_at_95` the share that is refused when
    95 % of the in-scope examples are kept, `curve` all such pairs.

    `by` is `score`, or `confidence` for a predictor without a score: 1 - its highest probability stands for it then,
    and there is no threshold. What cannot be told is None.
    """

    inside: int
    outside: int
    by: str
    refused: float | None
    answered_accuracy: float | None
    auroc: float | None
    recall: float | None
    recall_interval: Interval | None
    recall_at_95: float | None
    curve: tuple[ScopePoint, ...]


def scope_figures(inside: Sequence[Prediction], right: Bools, outside: Sequence[Prediction]) -> ScopeFigures | None:
    """Figures of answers to in-scope inputs (N), of which some are `right` (N), and to out-of-scope ones (M). None
    where there is neither a score nor an out-of-scope input."""
    scored = all(answer.out_of_scope is not None for answer in (*inside, *outside))
    if not scored and not outside:
        return None
    near, far = (np.array([_score(answer, scored) for answer in answers]) for answers in (inside, outside))
    kept = np.array([not answer.refused for answer in inside])
    refused = sum(answer.refused for answer in outside)
    known = bool(len(far))
    return ScopeFigures(
        inside=len(near),
        outside=len(far),
        by="score" if scored else "confidence",
        refused=float(1 - kept.mean()) if scored else None,
        answered_accuracy=float(right[kept].mean()) if scored and kept.any() else None,
        auroc=auroc(near, far) if known else None,
        recall=refused / len(far) if scored and known else None,
        recall_interval=wilson(refused, len(far)) if scored and known else None,
        recall_at_95=recall_at(near, far, KEPT) if known else None,
        curve=curve(near, far) if known else (),
    )


def auroc(near: Floats, far: Floats) -> float:
    """The chance that one of `far` (M) is above one of `near` (N), ties counting half: the area under the receiver
    operating characteristic (Mann and Whitney 1947)."""
    ordered = np.sort(near)
    below = (np.searchsorted(ordered, far, "left") + np.searchsorted(ordered, far, "right")) / 2
    return float(below.mean() / len(near))


def recall_at(near: Floats, far: Floats, kept: float) -> float:
    """The share of `far` (M) above the threshold that keeps at least the share `kept` of `near` (N)."""
    place = min(len(near) - 1, int(np.ceil(kept * len(near))) - 1)
    return float((far > np.sort(near)[place]).mean())


def curve(near: Floats, far: Floats) -> tuple[ScopePoint, ...]:
    """The receiver operating characteristic at evenly spaced shares of refused in-scope examples."""
    return tuple(ScopePoint(float(share), recall_at(near, far, 1 - share)) for share in np.linspace(0, 1, POINTS)[:-1])


def _score(answer: Prediction, scored: bool) -> float:
    if scored and answer.out_of_scope is not None:
        return answer.out_of_scope
    return 1 - max(answer.probabilities, default=0.0)
