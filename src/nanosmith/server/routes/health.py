"""Whether a model may be asked now: cooldowns and circuit breakers, in the memory of one server process.

A model that says how long it wants to be left alone is left alone so long, whoever asks. One that fails several times
in a row is left alone for its cooldown, twice as long each time it goes on failing; then one request alone tries it,
and all others wait for how that ends (https://martinfowler.com/bliki/CircuitBreaker.html).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from nanosmith.core.route import Step
from nanosmith.predict.endpoint.failure import FailureKind

Clock: TypeAlias = Callable[[], float]
State: TypeAlias = Literal["open", "half_open", "closed"]
COOLING = "cooling"
"""The code of the error for a model that is left alone."""
FIRST_LIMITED_S = 1.0
"""The cooldown after a refusal for too many requests that does not say how long; doubles with each in a row."""
LONGEST = 16
"""A breaker's cooldown becomes at most so many times as long."""


class Health:
    """Of one model. Times are monotonic seconds."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0  # of the cooldown
        self._failures = 0  # in a row
        self._limited = 0  # refusals for too many requests, in a row
        self._opened = 0  # how often in a row the breaker opened
        self._probing = False
        self.reason: FailureKind = "unavailable"
        """Why it is left alone, when it is."""

    @property
    def state(self) -> State:
        """ "open" lets nobody through, "half_open" one request at a time, "closed" all."""
        if self.wait_s > 0:
            return "open"
        return "half_open" if self._opened else "closed"

    @property
    def wait_s(self) -> float:
        """Seconds until it may be asked again; 0.0 when it may."""
        return max(0.0, self._until - self._clock())

    @property
    def may_ask(self) -> bool:
        return self.wait_s <= 0 and not (self._opened and self._probing)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Around one try: where the breaker is half open, it is the only one."""
        is_probe = bool(self._opened)
        self._probing = self._probing or is_probe
        try:
            yield
        finally:
            if is_probe:
                self._probing = False

    def succeeded(self) -> None:
        """A cooldown that another request began meanwhile goes on."""
        self._failures = self._limited = 0
        if self.wait_s <= 0:
            self._opened = 0

    def limited(self, step: Step, retry_after_s: float | None) -> None:
        """It refused, as it was asked too often."""
        self._limited += 1
        self.reason = "rate_limited"
        cooldown_s = retry_after_s or min(step.cooldown_s, FIRST_LIMITED_S * 2 ** min(self._limited - 1, 8))
        self._cool(cooldown_s)

    def failed(self, step: Step, retry_after_s: float | None = None) -> None:
        self._failures += 1
        self.reason = "unavailable"
        if retry_after_s:
            self._cool(retry_after_s)
        if self._opened or self._failures >= step.breaker_failures:
            if self.wait_s <= 0 or not self._opened:  # requests that were under way when it opened count once
                self._cool(step.cooldown_s * min(LONGEST, 2**self._opened))
                self._opened += 1
            self._failures = 0

    def shown(self) -> dict[str, Any]:
        return {"state": self.state, "wait_s": round(self.wait_s, 1), "failures": self._failures}

    def _cool(self, seconds: float) -> None:
        """A shorter cooldown never ends a longer one."""
        self._until = max(self._until, self._clock() + seconds)


class HealthBook:
    """That of every model, by its name."""

    def __init__(self) -> None:
        self._by_model: dict[str, Health] = {}

    def of(self, model: str) -> Health:
        health = self._by_model.get(model)
        if health is None:
            health = self._by_model[model] = Health()
        return health

    def shown(self) -> dict[str, Any]:
        return {model: health.shown() for model, health in self._by_model.items()}
