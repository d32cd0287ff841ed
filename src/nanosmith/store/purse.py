"""A process's purse: it reserves the most that a call can cost before it, and settles what it cost after it.

The purse takes allotments of budgets from the ledger (nanosmith.store.ledger.spending) and spends of them in memory, so
that most calls wait for no commit; what calls cost is booked in batches, some times a second. Near the end of a budget
an allotment is exactly what one call needs.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import msgspec

from nanosmith.core.budget import Budget, Call, allowed_text, renewal, smallest
from nanosmith.core.errors import InputError, Misconfigured, NanosmithError, OverBudget
from nanosmith.core.money import MOST_COST, Usage, shown_usd
from nanosmith.store.ledger.budgets import Budgets
from nanosmith.store.ledger.database import Database
from nanosmith.store.ledger.spending import HEARTBEAT_S, SILENT_S, Grant, Sums, Want, hour_of

FRESH_S = 2.0
"""How long what the ledger and the configuration said of budgets is believed."""
TICK_S = 0.2
"""Between two bookings; what a process that is killed has not booked is at most this old."""
AHEAD = 4
"""A purse keeps what so many ticks need, at the rate of the last two."""
VALID_S = SILENT_S / 2
"""A purse that could not write for so long spends nothing more until it can: by then others may think it dead."""
REFUSED_S = 0.25
"""For so long a budget that was found empty is not asked again."""
MAX_CALLS = 10_000
"""Kinds of calls whose budgets are remembered."""
LATER_S = 1.0
"""Before another attempt when the ledger could not be written."""
log = logging.getLogger("nanosmith.money")


class NoPrice(InputError):
    """A budget applies to a model whose price is not known."""

    code = "unknown_price"


class Pocket:
    """Of one account. In nano-dollars: `free` may be reserved, `flying` is reserved by calls under way, `unbooked` was
    spent since the last batch; together they are what the ledger has as this process's allotment, or less. `written`
    is the allotment as last written, None when that is not known."""

    __slots__ = ("drawn", "drawn_before", "ends_at", "flying", "free", "last", "refused_until", "unbooked", "written")

    def __init__(self, grant: Grant) -> None:
        self.last = grant
        self.ends_at = grant.ends_at
        self.free = self.flying = self.unbooked = self.drawn = self.drawn_before = 0
        self.written: int | None = 0
        self.refused_until = 0.0

    @property
    def rate(self) -> int:
        """Reserved per tick."""
        return max(self.drawn, self.drawn_before)

    def take(self, most: int) -> None:
        self.free -= most
        self.flying += most
        self.drawn += most

    def put_back(self, most: int, cost: int) -> None:
        self.flying -= most
        self.free += most - cost
        self.unbooked += cost

    def tick(self) -> int:
        """Keep what the next calls need; returns what of the allotment stays with this process. What calls took beyond
        what was reserved for them is the ledger's from now on, which books it."""
        self.free = max(min(self.free, AHEAD * self.rate), -self.flying - self.unbooked)
        self.drawn_before, self.drawn = self.drawn, 0
        return self.free + self.flying + self.unbooked

    @property
    def is_idle(self) -> bool:
        return not (self.free > 0 or self.flying or self.unbooked or self.rate)


class Reservation:
    """The most that a call under way can cost, held of every budget that applies to it."""

    __slots__ = ("call", "generation", "hour", "is_open", "most", "pockets")

    def __init__(self, call: Call, most: int | None, hour: int, pockets: tuple[Pocket, ...], generation: int) -> None:
        self.call = call
        self.most = most
        self.hour = hour
        self.pockets = pockets
        self.generation = generation
        self.is_open = True


class Batch(msgspec.Struct):
    """What is to be booked, until it is."""

    number: int
    sums: dict[tuple[int, Call], Sums]
    tries: int = 0


class Purse:
    """Of one process. Safe to use from several threads; one instance per process and ledger."""

    def __init__(
        self, database: Database, *, configured: Callable[[], Iterable[Budget]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`configured` gives the budgets of the configuration, beside those in the ledger; it is asked each second."""
        self.totals: defaultdict[tuple[str, str, str], Sums] = defaultdict(Sums)
        """What was settled since the process began, by route, provider and model."""
        self.refused: Counter[str] = Counter()
        """Calls that were refused, by the budget's name."""
        self._ledger = Budgets(database)
        self._configured = configured
        self._clock = clock
        self._id, self._owner = secrets.token_hex(12), f"{socket.gethostname()}:{os.getpid()}"
        self._memory = threading.Lock()
        """Of everything below; held for microseconds."""
        self._writing = threading.Lock()
        """Of the ledger: one transaction of this purse at a time. Taken before `_memory`."""
        self._budgets: tuple[Budget, ...] = ()
        self._of_call: dict[Call, tuple[Budget, ...]] = {}
        self._pockets: dict[tuple[str, ...], Pocket] = {}
        self._accounts: dict[int, Pocket] = {}
        self._pending: defaultdict[tuple[int, Call], Sums] = defaultdict(Sums)
        self._batch: Batch | None = None
        self._batches = self._generation = self._waiting = 0
        self._read_at = self._written_at = -SILENT_S
        self._offset_s = 0.0
        self._is_asked = self._is_entered = False
        self._wake, self._ending = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def reserve(self, call: Call, most: int | None) -> Reservation:
        """Hold the most that a call can cost, in nano-dollars (None: its price is not known), until it is settled or
        released. May wait for the ledger. Raises OverBudget, or NoPrice where a budget applies."""
        with self._memory:
            self._waiting += most or 0
        try:
            while True:
                with self._writing:
                    ready = self.reserve_now(call, most)
                    if ready is not None:
                        return ready
                    self._prepare(call, most or 0)
        finally:
            with self._memory:
                self._waiting -= most or 0

    def reserve_now(self, call: Call, most: int | None) -> Reservation | None:
        """The same without waiting; None when the ledger has to be asked."""
        with self._memory:
            self._is_asked = True
            now = self._clock()
            if now - self._read_at >= FRESH_S:
                return None
            budgets = self._budgets_of(call)
            if budgets and most is None:
                raise _no_price(call, budgets[0])
            pockets = self._ready(budgets, most or 0, now)
            if pockets is None:
                return None
            for pocket in pockets:
                pocket.take(most or 0)
            return Reservation(call, most, hour_of(now + self._offset_s), pockets, self._generation)

    def settle(self, reservation: Reservation, usage: Usage | None = None, cost: int | None = None) -> None:
        """The call was made, and cost so much; where that is not known, as when its stream broke, it counts as the most
        that it could cost. Only the first settlement or release of a reservation counts."""
        most = reservation.most
        cost = most if cost is None else min(cost, MOST_COST)
        with self._memory:
            if not reservation.is_open:
                return
            reservation.is_open = False
            self._count(reservation.call, reservation.hour, usage, cost)
            if reservation.generation == self._generation:
                for pocket in reservation.pockets:
                    pocket.put_back(most or 0, cost or 0)
        self._wake.set()

    def release(self, reservation: Reservation) -> None:
        """The call was not made, or its provider takes nothing for it. After a settlement it does nothing."""
        with self._memory:
            if reservation.is_open and reservation.generation == self._generation:
                for pocket in reservation.pockets:
                    pocket.put_back(reservation.most or 0, 0)
            reservation.is_open = False
        self._wake.set()

    def count_local(self, call: Call, usage: Usage, saved: int) -> None:
        """A call that was answered here, and what it would have cost elsewhere, in nano-dollars."""
        with self._memory:
            now_s = self._clock() + self._offset_s if self._offset_s else time.time()
            self._count(call, hour_of(now_s), usage, 0, saved)
        self._wake.set()

    def flush(self) -> None:
        """Book what was settled, and give back what is not needed. Raises NanosmithError; nothing is lost then, and the
        next call does it."""
        with self._writing:
            with self._memory:
                batch, left = self._next_batch()
            if batch is None:
                return
            batch.tries += 1
            try:
                known = self._ledger.settle(self._id, self._owner, batch.number, batch.sums, left)
            except BaseException:
                self._doubt()
                raise
            with self._memory:
                self._batch = None
                for account, amount in left.items() if batch.tries == 1 else ():
                    self._accounts[account].written = amount
                self._wrote(known)
                self._forget_idle()

    def close(self) -> None:
        """Book everything and give back what is left. What is reserved by calls that were never settled stays counted
        as spent. Raises NanosmithError."""
        self._ending.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        with self._memory:
            for pocket in self._accounts.values():
                pocket.drawn = pocket.drawn_before = 0
        self.flush()
        with self._memory:
            is_over = self._is_entered and not any(pocket.flying for pocket in self._accounts.values())
        if is_over:
            self._ledger.leave(self._id)

    def _count(self, call: Call, hour: int, usage: Usage | None, cost: int | None, saved: int = 0) -> None:
        self._pending[hour, call].count(usage, cost, saved)
        self.totals[call.route, call.provider, call.model].count(usage, cost, saved)
        self._start()

    def _budgets_of(self, call: Call) -> tuple[Budget, ...]:
        found = self._of_call.get(call)
        if found is None:
            found = self._of_call[call] = tuple(budget for budget in self._budgets if budget.holds_for(call))
        return found

    def _ready(self, budgets: tuple[Budget, ...], most: int, now: float) -> tuple[Pocket, ...] | None:
        """The pockets of all these budgets, None unless each has enough. Raises OverBudget where the ledger has just
        said that there is nothing more."""
        if budgets and now - self._written_at >= VALID_S:
            return None
        found = []
        for budget in budgets:
            pocket = self._pockets.get(budget.identity)
            if pocket is None or pocket.ends_at <= now + self._offset_s:
                return None
            if pocket.free < most:
                if now < pocket.refused_until and most >= self._refused_most(budget, pocket):
                    raise self._over(budget, pocket, most)
                return None
            found.append(pocket)
        return tuple(found)

    def _refused_most(self, budget: Budget, pocket: Pocket) -> int:
        """The least that is too much, as far as is known."""
        return pocket.free + max(0, budget.amount - pocket.last.spent - pocket.last.held) + 1

    def _prepare(self, call: Call, most: int) -> None:
        """Read the budgets anew if that is due, else get what a call needs. Raises OverBudget."""
        if self._clock() - self._read_at >= FRESH_S:
            self._read()
            return
        with self._memory:
            budgets = self._budgets_of(call)
            wants = [want for budget in budgets if (want := self._want(budget, most))]
        if not wants:
            return
        try:
            known, grants = self._ledger.allot(self._id, self._owner, wants)
        except BaseException:
            self._doubt()
            raise
        with self._memory:
            self._wrote(known)
            for want, grant in zip(wants, grants):
                self._take_in(want, grant)
            for want, grant in zip(wants, grants):
                if want.needed > 0 and not grant.given:
                    raise self._over(want.budget, self._pockets[want.budget.identity], most)
        self._start()

    def _want(self, budget: Budget, most: int) -> Want | None:
        """None where the pocket has enough, unless the ledger has not heard of this purse for too long."""
        pocket = self._pockets.get(budget.identity)
        if pocket is None or pocket.ends_at <= self._clock() + self._offset_s:
            return Want(budget, most, max(most, self._waiting))
        needed = max(0, most - pocket.free)
        if not needed and self._clock() - self._written_at < VALID_S:
            return None
        return Want(budget, needed, max(needed, self._waiting, AHEAD * pocket.rate) if needed else 0)

    def _take_in(self, want: Want, grant: Grant) -> None:
        pocket = self._accounts.get(grant.account)
        if pocket is None:
            pocket = self._accounts[grant.account] = Pocket(grant)
        self._pockets[want.budget.identity] = pocket
        pocket.last = grant
        pocket.free += grant.given
        if pocket.written is not None:
            pocket.written += grant.given
        if want.needed and not grant.given:
            pocket.refused_until = self._clock() + REFUSED_S

    def _over(self, budget: Budget, pocket: Pocket, most: int) -> OverBudget:
        self.refused[budget.name] += 1
        last = pocket.last
        error = OverBudget(
            f"the budget does not allow this call: {budget.name}",
            got=f"{shown_usd(last.spent)} spent, {shown_usd(last.held)} reserved, and up to {shown_usd(most)} now",
            allowed=allowed_text(budget), remedy=renewal(last.ends_at),
        )  # fmt: skip
        error.may_pass = last.spent + most <= budget.amount
        return error

    def _read(self) -> None:
        """All budgets, and the database's time. Raises Misconfigured, as a budget that cannot be read is not passed
        over."""
        now_s, rows = self._ledger.read()
        try:
            budgets = smallest([*(row.budget for row in rows), *self._ledger.named(self._configured())])
        except InputError as error:
            raise Misconfigured(f"the budgets of nanosmith.toml cannot be read: {error}") from error
        with self._memory:
            self._read_at = self._clock()
            self._offset_s = now_s - self._read_at
            self._is_asked = False
            if budgets != self._budgets or len(self._of_call) > MAX_CALLS:
                self._budgets, self._of_call = budgets, {}

    def _wrote(self, known: bool) -> None:
        """The ledger has heard of this purse. If it did not know it any more, what the purse had was given to
        others."""
        self._written_at = self._clock()
        is_forgotten, self._is_entered = self._is_entered and not known, True
        if is_forgotten:
            self._generation += 1
            self._accounts, self._pockets = {}, {}

    def _doubt(self) -> None:
        """A transaction failed, and nobody may know whether it was committed: allotments are to be written again."""
        with self._memory:
            for pocket in self._accounts.values():
                pocket.written = None

    def _next_batch(self) -> tuple[Batch | None, dict[int, int]]:
        """What is to be booked, None for nothing; and what is left of each allotment that changed."""
        pockets = self._accounts.values()
        if self._batch is None and self._pending:
            self._batch = self._new_batch(dict(self._pending))
            self._pending.clear()
            for pocket in pockets:
                pocket.unbooked = 0
        left = {account: now for account, pocket in self._accounts.items() if (now := pocket.tick()) != pocket.written}
        is_silent = self._clock() - self._written_at >= HEARTBEAT_S and not all(pocket.is_idle for pocket in pockets)
        if self._batch is None and (left or is_silent):
            self._batch = self._new_batch({})
        return self._batch, left

    def _new_batch(self, sums: dict[tuple[int, Call], Sums]) -> Batch:
        self._batches += 1
        return Batch(self._batches, sums)

    def _forget_idle(self) -> None:
        now_s = self._clock() + self._offset_s
        over = [account for account, pocket in self._accounts.items() if pocket.ends_at <= now_s and pocket.is_idle]
        for account in over:
            del self._accounts[account]
        for identity in [name for name, pocket in self._pockets.items() if pocket.ends_at <= now_s]:
            del self._pockets[identity]

    def _start(self) -> None:
        if self._thread is None and not self._ending.is_set():
            self._thread = threading.Thread(target=self._run, name="nanosmith-purse", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._wake.wait(self._patience_s())
            self._wake.clear()
            pause_s = TICK_S
            try:
                self.flush()
                self._refresh()
            except NanosmithError as error:
                log.warning("what calls cost could not be booked, and will be tried again: %s", error)
                pause_s = LATER_S
            except Exception:
                log.exception("what calls cost could not be booked, and will be tried again")
                pause_s = LATER_S
            self._ending.wait(pause_s)

    def _refresh(self) -> None:
        """Read the budgets beside the calls, when they are half as old as they may become."""
        with self._memory:
            is_due = self._is_asked and self._clock() - self._read_at >= FRESH_S / 2
        if is_due:
            with self._writing:
                self._read()

    def _patience_s(self) -> float | None:
        """How long the thread may sleep when nobody wakes it."""
        with self._memory:
            pockets = list(self._accounts.values())
            if self._batch is not None or self._pending or self._is_asked or any(p.free > 0 or p.rate for p in pockets):
                return TICK_S
            return HEARTBEAT_S if any(p.flying for p in pockets) else None


def _no_price(call: Call, budget: Budget) -> NoPrice:
    return NoPrice(
        f"the model's price is not known, so a budget cannot hold for it: {budget.name}", got=call.model,
        remedy="Give its price under [provider.NAME.models] in nanosmith.toml, or remove the budget.", param="model",
    )  # fmt: skip
