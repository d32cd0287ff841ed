"""The trade-off of bytes, time and accuracy, and what is chosen from it."""

from __future__ import annotations

import numpy as np
import pytest

from nanosmith.core.goal import Goal
from nanosmith.score.front import Loss, Point, best, holds, loss, nearest, with_front
from nanosmith.score.render.front import plot


def point(name: str, bytes: int, latency_ms: float, points: float | None) -> Point:
    found = None if points is None else Loss(1_000, 0.9 - points / 100, points, (points - 1, points + 1))
    return Point(name, "any/1", bytes, latency_ms, found)


SMALL, MIDDLE, LARGE = point("small", 1, 0.1, 3.0), point("middle", 5, 1.0, 0.4), point("large", 9, 3.0, 0.0)
ALL = (LARGE, SMALL, MIDDLE)


def test_loss_is_paired() -> None:
    """Points of accuracy on the same examples, inside of their interval; negative where the student is better."""
    teacher = np.array([True] * 90 + [False] * 10)
    student = np.array([True] * 80 + [False] * 15 + [True] * 5)
    found = loss(teacher, student)
    assert found.n == 100
    assert (found.accuracy, found.points) == pytest.approx((0.85, 5.0))
    assert found.interval[0] < 5.0 < found.interval[1]
    assert loss(student, teacher).points == pytest.approx(-5.0)


def test_front_has_what_nothing_beats() -> None:
    """Smallest first; one that is beaten in all three, and one without a loss, are not on it."""
    beaten, untrained = point("beaten", 6, 1.0, 0.5), point("untrained", 2, 0.1, None)
    found = with_front([*ALL, beaten, untrained])
    assert [p.name for p in found] == ["small", "untrained", "middle", "beaten", "large"]
    assert [p.name for p in found if p.on_front] == ["small", "middle", "large"]


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (Goal(), "small"), (Goal(loss_points=2), "middle"), (Goal(loss_points=0.5), "large"),
        (Goal(bytes=8, loss_points=0.5), "middle"), (Goal(latency_ms=0.5, loss_points=10), "small"),
        (Goal(latency_ms=0.5, loss_points=1), None), (Goal(bytes=0.5), None),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_choice(goal: Goal, expected: str | None) -> None:
    """The smallest that holds by a standard error too; where none does, the one that loses least; or nothing."""
    chosen = best(ALL, goal)
    assert (chosen.name if chosen else None) == expected
    assert chosen is None or holds(chosen, goal)


def test_nearest_miss() -> None:
    """The one whose worst excess is the least."""
    found = nearest(ALL, Goal(bytes=4, loss_points=0.3))
    assert found is not None
    assert found.name == "small"
    assert nearest([point("untrained", 1, 1.0, None)], Goal(bytes=1)) is None


def test_plot_has_a_panel_per_task() -> None:
    """An SVG with the names, the same at every run; points without a loss are left out."""
    panels = {"one": (LARGE, with_front(ALL)), "two": (LARGE, [point("untrained", 1, 1.0, None)])}
    drawn = plot(panels)
    assert drawn == plot(panels)
    assert ">one<" in drawn
    assert ">two<" in drawn
