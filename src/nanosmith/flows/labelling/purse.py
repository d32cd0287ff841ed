"""What a run may spend and how fast: counted before each try, and again after it."""

from __future__ import annotations

import re
import threading
import time

from nanosmith.core.errors import InputError, OverBudget
from nanosmith.core.money import NANO, Prices, Usage, cost_of, shown_usd
from nanosmith.core.settings import UNITS_S

RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h|min|sec|hour)")
UNITS = {"min": "m", "sec": "s", "hour": "h"}


class Purse:
    """`budget` nano-dollars for all runs over one journal, None: no bound; `spent` by earlier ones. May be used by
    several threads. What is under way counts as dear as it can become, so that the budget holds to the last unit."""

    def __init__(self, budget: int | None, spent: int) -> None:
        self._budget = budget
        self._spent = spent
        self._reserved = 0
        self._settled = threading.Condition()

    def reserve(self, most: int) -> None:
        """Waits while what is under way may leave enough. Raises OverBudget where it cannot."""
        with self._settled:
            while self._budget is not None and self._spent + self._reserved + most > self._budget:
                if self._spent + most > self._budget:
                    raise OverBudget(
                        "the budget does not allow one more question", allowed=shown_usd(self._budget),
                        got=f"{shown_usd(self._spent)} spent, and up to {shown_usd(most)} for the next",
                    )  # fmt: skip
                self._settled.wait()
            self._reserved += most

    def settle(self, most: int, cost: int) -> None:
        with self._settled:
            self._reserved -= most
            self._spent += cost
            self._settled.notify_all()


class Rate:
    """At most so many tries per second, evenly; None: no bound. May be used by several threads."""

    def __init__(self, per_s: float | None) -> None:
        self._gap_s = 0.0 if per_s is None else 1 / per_s
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Until the next try may begin."""
        with self._lock:
            now = time.monotonic()
            begins = max(now, self._next)
            self._next = begins + self._gap_s
        if begins > now:
            time.sleep(begins - now)


class Tries:
    """The meter of one input's tries. `cost` is what they cost (nano-dollars), `unsure` what those without an answer
    may have cost."""

    def __init__(self, purse: Purse, rate: Rate, prices: Prices | None, most: int) -> None:
        self._purse, self._rate, self._prices, self._most = purse, rate, prices, most
        self.cost = 0
        self.unsure = 0
        self._open = False

    def before(self) -> None:
        """Raises OverBudget."""
        self.close()
        self._rate.wait()
        self._purse.reserve(self._most)
        self._open = True

    def after(self, usage: Usage | None) -> None:
        if usage is None or self._prices is None:
            cost = self._most
            self.unsure += cost
        else:
            cost = cost_of(usage, self._prices)
            self.cost += cost
        self._purse.settle(self._most, cost)
        self._open = False

    def close(self) -> None:
        """Give back what a try that cost nothing had reserved."""
        if self._open:
            self._purse.settle(self._most, 0)
            self._open = False


def parse_rate(text: str) -> float:
    """Tries per second in "5/s" or "300/m". Raises InputError."""
    found = RATE.fullmatch(text.strip())
    per_s = float(found[1]) / UNITS_S[UNITS.get(found[2], found[2])] if found else 0.0
    if not 0 < per_s <= NANO:
        raise InputError("not a rate", got=repr(text), allowed='such as "5/s" or "300/m"', param="rate")
    return per_s
