"""The event loop's purse: most reservations are made at once, the others on a thread that asks the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nanosmith.core.budget import LOCAL, Budget, Call, configured_budgets
from nanosmith.core.errors import NanosmithError
from nanosmith.core.money import Usage
from nanosmith.store import purse
from nanosmith.store.config import WatchedConfig
from nanosmith.store.ledger import Ledger
from nanosmith.store.purse import Reservation

SHOWN_CHARS = 256
log = logging.getLogger("nanosmith.money")


class Purse:
    """Of one server process; all projects share it. Amounts are nano-dollars.

    held = await purse.reserve(project="default", key=None, route="support", provider="openai", model="gpt", most=5)
    try:
        …                                               # the call
        purse.settle(held, Usage(input=12, output=3), cost=4)
    finally:
        purse.release(held)                             # does nothing after a settlement
    """

    def __init__(self, ledger: Ledger, configured: Callable[[], tuple[Budget, ...]] = tuple) -> None:
        """`configured` gives the budgets of nanosmith.toml."""
        self.own = purse.Purse(ledger.database, configured=configured)
        self._thread = ThreadPoolExecutor(1, "nanosmith-reserve")
        """One: those that wait are served by one transaction."""

    async def reserve(
        self, *, project: str, key: str | None, route: str, provider: str, model: str, most: int | None
    ) -> Reservation:
        """Hold the most that a call can cost (None: its price is not known) before it is made. Raises OverBudget, and
        NoPrice where a budget applies to a model without a price."""
        call = Call(project, key or "", route, provider, model.replace("\0", "")[:SHOWN_CHARS])  # clients name it
        ready = self.own.reserve_now(call, most)
        if ready is not None:
            return ready
        making = asyncio.get_running_loop().run_in_executor(self._thread, self.own.reserve, call, most)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:  # nobody waits for it any more
            making.add_done_callback(self._drop)
            raise

    def settle(self, reservation: Reservation, usage: Usage | None = None, cost: int | None = None) -> None:
        """The call was made. Without a `cost`, as when its stream broke, it counts as the most that it could cost."""
        self.own.settle(reservation, usage, cost)

    def release(self, reservation: Reservation) -> None:
        """The call was not made, or its provider takes nothing for it."""
        self.own.release(reservation)

    def answered_here(self, *, project: str, key: str | None, route: str, model: str, usage: Usage, saved: int) -> None:
        """A local model of a route answered; `saved` is what the route's last remote step would have cost."""
        self.own.count_local(Call(project, key or "", route, LOCAL, model), usage, saved)

    def close(self) -> None:
        """Book everything. A ledger that cannot be reached now is logged: what was held then stays counted as spent."""
        self._thread.shutdown()
        try:
            self.own.close()
        except NanosmithError as error:
            log.error("the last costs could not be booked: %s", error)

    def _drop(self, making: asyncio.Future[Reservation]) -> None:
        if not making.cancelled() and making.exception() is None:
            self.release(making.result())


def budgets_in(watched: WatchedConfig) -> tuple[Budget, ...]:
    """Those of nanosmith.toml as it is now. Raises InputError."""
    watched.refresh()
    config = watched.config
    return configured_budgets(config.budgets, config.routes.values())
