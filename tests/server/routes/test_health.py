"""Cooldowns that last, and breakers that let one request try."""

from __future__ import annotations

import pytest

from nanosmith.core.route import Step
from nanosmith.server.routes.health import LONGEST, Health

STEP = Step(model="x/y", tier=0, cooldown_s=10.0, breaker_failures=3)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


def test_a_cooldown_lasts(health: Health, clock: Clock) -> None:
    """As long as the provider said, whatever other requests report meanwhile."""
    health.limited(STEP, 7.0)
    health.limited(STEP, 1.0)
    health.succeeded()
    assert (health.may_ask, health.wait_s, health.reason) == (False, 7.0, "rate_limited")
    clock.now += 6.9
    assert not health.may_ask
    clock.now += 0.2
    assert (health.may_ask, health.state) == (True, "closed")


def test_refusals_without_a_time_double(health: Health, clock: Clock) -> None:
    """From one second on, up to the step's cooldown."""
    waits = []
    for _ in range(6):
        health.limited(STEP, None)
        waits.append(round(health.wait_s, 6))
        clock.now += health.wait_s
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_breaker_opens_and_lets_one_try(health: Health, clock: Clock) -> None:
    """After failures in a row; while one tries, nobody else may."""
    for _ in range(2):
        health.failed(STEP)
    assert health.state == "closed"
    health.failed(STEP)
    assert (health.state, health.wait_s) == ("open", 10.0)
    clock.now += 10.0
    assert (health.state, health.may_ask) == ("half_open", True)
    with health.asked():
        assert not health.may_ask
        health.succeeded()
    assert (health.state, health.may_ask) == ("closed", True)


def test_a_failed_try_waits_longer(health: Health, clock: Clock) -> None:
    """Twice as long each time, up to a bound."""
    waits = []
    for number in range(7):
        for _ in range(3 if number == 0 else 1):
            with health.asked():
                health.failed(STEP)
        waits.append(health.wait_s)
        clock.now += health.wait_s
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 160.0, 160.0]
    assert waits[-1] == 10.0 * LONGEST


def test_requests_under_way_count_once(health: Health) -> None:
    """Those that fail after the breaker opened do not lengthen it."""
    for _ in range(20):
        health.failed(STEP)
    assert health.wait_s == 10.0


def test_a_try_that_is_left_frees_its_place(health: Health, clock: Clock) -> None:
    """A client that leaves while it tries does not close the way for ever."""
    for _ in range(3):
        health.failed(STEP)
    clock.now += 10.0
    with pytest.raises(KeyboardInterrupt), health.asked():
        raise KeyboardInterrupt
    assert health.may_ask
