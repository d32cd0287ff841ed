"""The event loop's purse."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nanosmith.core.budget import Budget
from nanosmith.core.errors import OverBudget
from nanosmith.core.money import Usage
from nanosmith.server.money.purse import Purse
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.ledger.budgets import Budgets
from nanosmith.store.ledger.costs import CostRows

WHO: dict[str, Any] = {"project": "default", "key": None, "route": "support", "provider": "openai"}
BUDGET = Budget(1_000, "day")


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = open_ledger(home)
    Budgets(opened.database).set(BUDGET)
    yield opened
    opened.close()


def reserved(ledger: Ledger) -> int:
    return Budgets(ledger.database).standings([BUDGET])[0].reserved


async def hold(purse: Purse, most: int, model: str = "big") -> Any:
    return await purse.reserve(**WHO, model=model, most=most)


def test_many_at_once(ledger: Ledger) -> None:
    """Of two hundred tasks that reserve at once, exactly as many succeed as the budget allows."""

    async def run() -> int:
        purse = Purse(ledger)
        done = await asyncio.gather(*(hold(purse, 10) for _ in range(200)), return_exceptions=True)
        held = [one for one in done if not isinstance(one, OverBudget)]
        for one in held:
            purse.settle(one, Usage(1, 1), 10)
        await asyncio.to_thread(purse.close)
        return len(held)

    assert asyncio.run(run()) == 100
    assert Budgets(ledger.database).standings([BUDGET])[0].spent == 1_000


def test_a_client_that_leaves_while_it_waits(ledger: Ledger) -> None:
    """What is reserved for a request that was cancelled meanwhile is given back."""

    async def run() -> None:
        purse = Purse(ledger)
        (await hold(purse, 1)).is_open = False
        with ledger.database.exclusively("nothing"):
            waiting = [asyncio.ensure_future(hold(purse, 100)) for _ in range(5)]
            await asyncio.sleep(0)
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert all(one.cancelled() for one in waiting)
        for _ in range(100):
            await asyncio.sleep(0.05)
            if reserved(ledger) <= 1:
                break
        assert reserved(ledger) <= 1
        await asyncio.to_thread(purse.close)

    asyncio.run(run())


def test_the_loop_goes_on_while_the_ledger_is_asked(ledger: Ledger) -> None:
    """A reservation that has to wait for the database holds up no other task."""

    async def run() -> float:
        purse, writing, go_on = Purse(ledger), threading.Event(), threading.Event()

        def busy(link: Any, _now: float) -> None:
            writing.set()
            go_on.wait(10)

        blocker = threading.Thread(target=lambda: Budgets(ledger.database).write(busy))
        blocker.start()
        await asyncio.to_thread(writing.wait)
        waiting = asyncio.ensure_future(hold(purse, 10))
        began = time.perf_counter()
        for _ in range(10):
            await asyncio.sleep(0.005)
        took_s = time.perf_counter() - began
        assert not waiting.done()
        go_on.set()
        purse.release(await waiting)
        blocker.join()
        await asyncio.to_thread(purse.close)
        return took_s

    assert asyncio.run(run()) < 5


def test_what_a_provider_tells_wrongly(ledger: Ledger) -> None:
    """Counts that no call can have, and names that no database keeps, stop no booking."""

    async def run() -> None:
        purse = Purse(ledger)
        one = await hold(purse, 10, "big\0" + "x" * 10_000)
        purse.settle(one, Usage(10**30, 10**30, 10**30), 10**40)
        await asyncio.to_thread(purse.close)

    asyncio.run(run())
    (group,) = CostRows(ledger.database).groups("model")
    assert group.sums.requests == 1
    assert group.sums.cost == 10**15
    assert len(group.name[1]) == 256
