"""Bounds and alarms that hold at every moment."""

from __future__ import annotations

import numpy as np
import pytest

from nanosmith.score.anytime import betting_bound, changed_at, follow, level_of, listen, running_bound

RISK = 0.05


def test_betting_bound_holds() -> None:
    """The bound is above the true mean in at most 5 % of samples and what chance adds, and near it."""
    draw = np.random.default_rng(0)
    found = [betting_bound(draw.random(400) < 0.95, RISK) for _ in range(300)]
    assert np.mean([bound > 0.95 for bound in found]) <= 0.08
    assert np.mean(found) == pytest.approx(0.925, abs=0.015)


def test_betting_bound_of_shares() -> None:
    """Values between 0 and 1 may be anything; nothing shows nothing."""
    assert 0.6 < betting_bound(np.full(500, 0.7), RISK) <= 0.7
    assert betting_bound(np.array([]), RISK) == 0.0
    assert betting_bound(np.zeros(50), RISK) == 0.0


def test_running_bound_at_any_time() -> None:
    """Looked at after each answer, the bound is ever above the truth in at most 5 % of streams and what chance adds."""
    draw = np.random.default_rng(0)
    crossed = 0
    for _ in range(200):
        agreed = np.cumsum(draw.random(500) < 0.9)
        crossed += any(running_bound(int(agreed[n - 1]), n - int(agreed[n - 1]), RISK) > 0.9 for n in range(5, 501, 5))
    assert crossed <= 20


def test_running_bound_grows() -> None:
    """More of the same shows more; without an agreement nothing is shown."""
    assert running_bound(0, 5, RISK) == 0.0
    assert running_bound(99, 1, RISK) < running_bound(990, 10, RISK) < 0.99


def run(share: float, answers: int, seed: int) -> int | None:
    """After how many answers, of which this share agrees, the alarm reaches 1,000."""
    draw, levels = np.random.default_rng(seed), ()
    for n in range(answers):
        levels = listen(levels, bool(draw.random() < share), 0.97)
        if level_of(levels) >= 1_000:
            return n
    return None


def test_alarm_is_rare_while_the_promise_holds() -> None:
    """At exactly the promised agreement it takes 1,000 answers and more on average; few streams of 400 have one."""
    assert level_of(()) == 0.0
    assert sum(run(0.97, 400, seed) is not None for seed in range(50)) <= 15


def test_follow() -> None:
    """A disagreement is followed by some 16 answers before it is forgotten, two in a row by more, and agreement alone
    by none."""

    def followed(*answers: bool) -> int:
        levels: tuple[float, ...] = ()
        for agrees in answers:
            levels = follow(levels, agrees, 0.97)
        n = 0
        while level_of(levels) >= 1:
            levels, n = follow(levels, True, 0.97), n + 1
        return n

    assert followed(*[True] * 500) == 0
    assert 10 <= followed(*[True] * 500, False) <= 22
    assert followed(False, False) > followed(False) + 5


def test_changed_at() -> None:
    """It finds where agreement fell, also where that was at the beginning."""
    draw = np.random.default_rng(0)
    agrees = np.concatenate([draw.random(400) < 0.98, draw.random(200) < 0.8])
    assert abs(changed_at(agrees, 0.97) - 400) <= 20
    assert changed_at(np.zeros(5, bool), 0.97) == 0


def test_alarm_is_quick_when_it_is_broken() -> None:
    """At 85 % instead of 97 % it comes after some dozens of answers."""
    found = [run(0.85, 2_000, seed) for seed in range(30)]
    assert None not in found
    assert np.median([one for one in found if one is not None]) < 100
