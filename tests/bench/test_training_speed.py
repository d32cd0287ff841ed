"""Ratios of training times."""

from __future__ import annotations

from bench.training_speed import summary


def run(seconds: float, accuracy: float) -> dict[str, float]:
    return {"seconds": seconds, "cpu_seconds": 2 * seconds, "accuracy": accuracy}


def test_ratios_are_of_the_same_round() -> None:
    """Each round is compared with ours of that round, so that a busy minute hits both; the median of these counts."""
    ours, theirs = [run(10, 80), run(30, 82), run(10, 81)], [run(25, 79), run(75, 80), run(40, 81)]
    found = summary(theirs, ours)
    assert found["seconds_by_ours"] == 2.5
    assert found["accuracy"] == 80
    assert found["seconds"] == round((25 + 75 + 40) / 3, 2)


def test_without_ours_no_ratio() -> None:
    """There is nothing to compare with when the recipe was left out."""
    assert summary([run(10, 80)], None) == {"seconds": 10, "cpu_seconds": 20, "accuracy": 80}
