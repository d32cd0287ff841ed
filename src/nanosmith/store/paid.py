"""Calls that cost money outside of the server's routes: the meter of one question, and the purse of a command."""

from __future__ import annotations

import threading
import time

from nanosmith.core.budget import Budget, Call, configured_budgets
from nanosmith.core.errors import OverBudget
from nanosmith.core.money import Prices, Usage, cost_of
from nanosmith.store.config import find_config, read_config
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.purse import Purse, Reservation

PATIENCE_S = 60.0
"""How long a command waits for what other calls may give back."""
LOOK_S = 0.3


class PurseMeter:
    """Pays for the tries of one question: the most is held before each, and what it cost is settled after it.

    `patience_s`: how long it waits where calls under way hold what is left of a budget."""

    def __init__(
        self, purse: Purse, call: Call, prices: Prices | None, most: int | None, *, patience_s: float = 0.0
    ) -> None:
        self._purse, self._call, self._prices, self._most = purse, call, prices, most
        self._patience_s = patience_s
        self._held: Reservation | None = None

    def before(self) -> None:
        """Raises OverBudget, NoPrice."""
        self.close()
        began = time.monotonic()
        while self._held is None:
            try:
                self._held = self._purse.reserve(self._call, self._most)
            except OverBudget as error:
                if not error.may_pass or time.monotonic() - began >= self._patience_s:
                    raise
                time.sleep(LOOK_S)

    def after(self, usage: Usage | None) -> None:
        if self._held is not None:
            cost = cost_of(usage, self._prices) if usage is not None and self._prices is not None else None
            self._purse.settle(self._held, usage, cost)
            self._held = None

    def close(self) -> None:
        """Give back what a try that cost nothing held."""
        if self._held is not None:
            self._purse.release(self._held)
            self._held = None


class HomePurse:
    """The purse of a command over a data folder; the ledger is opened by the first call that may cost something. May be
    used by several threads. Whoever has it closes it, which books what was spent."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._opened: tuple[Ledger, Purse] | None = None

    def meter(self, provider: str, model: str, prices: Prices | None, most: int | None) -> PurseMeter:
        """Of one question; the call is of the home's project, without a key or route."""
        call = Call(self._home.project, "", "", provider, model)
        with self._lock:
            if self._opened is None:
                ledger = open_ledger(self._home)
                self._opened = ledger, Purse(ledger.database, configured=self._configured)
            return PurseMeter(self._opened[1], call, prices, most, patience_s=PATIENCE_S)

    def close(self) -> None:
        if self._opened is not None:
            ledger, purse = self._opened
            try:
                purse.close()
            finally:
                ledger.close()

    def _configured(self) -> tuple[Budget, ...]:
        config = read_config(find_config(self._home))
        return configured_budgets(config.budgets, config.routes.values())
