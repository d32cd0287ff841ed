"""Models of one task beside each other: what each costs in bytes and time, and what it loses against its teacher.

Letters: N examples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.goal import Goal
from nanosmith.score.intervals import Interval, paired_difference


class Loss(msgspec.Struct, frozen=True):
    """Accuracy in [0, 1] on `n` examples, and how many points below the teacher's on the same ones, with the 95 %
    interval of these points; negative is better."""

    n: int
    accuracy: float
    points: float
    interval: Interval


class Point(msgspec.Struct, frozen=True):
    """One model. `bytes` is that of its whole folder, `latency_ms` the median of calls with one text. `loss` is None
    where it was not trained: `why` says so. `sparsity`: accuracy with this share of the encoder's smallest weights at
    zero. `on_front`: no other is at least as good in all three and better in one."""

    name: str
    recipe: str
    bytes: int
    latency_ms: float
    loss: Loss | None = None
    why: str | None = None
    details: dict[str, int | str] = {}
    sparsity: dict[str, float] = {}
    on_front: bool = False


def loss(teacher: NDArray[np.bool_], student: NDArray[np.bool_]) -> Loss:
    """Of whether each answer (N) is right."""
    lost, won = int((teacher & ~student).sum()), int((~teacher & student).sum())
    low, high = paired_difference(lost, won, len(teacher))
    accuracy = float(student.mean())
    return Loss(len(teacher), accuracy, 100 * (float(teacher.mean()) - accuracy), (100 * low, 100 * high))


def fits(point: Point, goal: Goal) -> bool:
    """Whether bytes and latency hold."""
    small = goal.bytes is None or point.bytes <= goal.bytes
    return small and (goal.latency_ms is None or point.latency_ms <= goal.latency_ms)


def holds(point: Point, goal: Goal) -> bool:
    """Whether all three hold."""
    if point.loss is None or not fits(point, goal):
        return False
    return goal.loss_points is None or point.loss.points <= goal.loss_points


def dominates(first: Point, second: Point) -> bool:
    """Whether `first` is nowhere worse than `second` and somewhere better; both have a loss."""
    one, other = ((p.bytes, p.latency_ms, p.loss.points) for p in (first, second) if p.loss is not None)
    return one != other and all(a <= b for a, b in zip(one, other))


def with_front(points: Iterable[Point]) -> list[Point]:
    """All of them, smallest first, those on the Pareto front marked."""
    ordered = sorted(points, key=lambda point: point.bytes)
    scored = [point for point in ordered if point.loss is not None]
    return [
        msgspec.structs.replace(
            point, on_front=point.loss is not None and not any(dominates(other, point) for other in scored)
        )
        for point in ordered
    ]


def best(points: Sequence[Point], goal: Goal) -> Point | None:
    """Of what holds the goal, the smallest (where only time is bounded: the quickest) that does so by a standard error
    too, since a loss is measured on a sample; where none does, the one that loses least."""
    held = [point for point in points if holds(point, goal)]
    bound = math.inf if goal.loss_points is None else goal.loss_points
    safe = [point for point in held if point.loss and _cautious(point.loss) <= bound]
    if safe:
        by_time = goal.bytes is None and goal.latency_ms is not None
        return min(safe, key=lambda point: point.latency_ms if by_time else point.bytes)
    return min(held, key=lambda point: point.loss.points if point.loss else math.inf, default=None)


def _cautious(loss: Loss) -> float:
    """The loss and half of the way to the end of its interval: about a standard error."""
    return (loss.points + loss.interval[1]) / 2


def nearest(points: Sequence[Point], goal: Goal) -> Point | None:
    """What misses the goal least: the bound that is exceeded by the largest share counts, points as shares of 100."""
    return min((point for point in points if point.loss), key=lambda point: _excess(point, goal), default=None)


def _excess(point: Point, goal: Goal) -> float:
    assert point.loss is not None
    bounds = ((point.bytes, goal.bytes), (point.latency_ms, goal.latency_ms))
    over = [found / bound - 1 for found, bound in bounds if bound is not None]
    if goal.loss_points is not None:
        over.append((point.loss.points - goal.loss_points) / 100)
    return max(over, default=0.0)
