"""Purses: budgets that hold, among threads and processes, whatever dies when."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.store.purses import CALL, MOST, billed, budget_of, spending, standing

from nanosmith.core.budget import Budget, Call
from nanosmith.core.errors import InputError, Misconfigured, OverBudget, Unavailable
from nanosmith.core.money import Usage
from nanosmith.store import purse as purse_module
from nanosmith.store.ledger import Ledger
from nanosmith.store.ledger.budgets import Budgets
from nanosmith.store.ledger.spending import KEPT_S, SILENT_S
from nanosmith.store.ledger.tables import accounts, allotments
from nanosmith.store.ledger.tables import spend as spend_table
from nanosmith.store.purse import NoPrice, Purse

OTHER = Call("acme", "key_2", "sales", "mistral", "small")
PROCESSES = 4
CALLS = 10_000


@pytest.fixture
def budgets(ledger: Ledger) -> Budgets:
    return Budgets(ledger.database)


@pytest.fixture
def made(ledger: Ledger) -> Iterator[Callable[..., Purse]]:
    """Makes purses over the ledger, and closes them."""
    purses: list[Purse] = []

    def make(**options: object) -> Purse:
        purses.append(Purse(ledger.database, **options))  # type: ignore[arg-type]
        return purses[-1]

    yield make
    for purse in purses:
        purse.close()


def booked(ledger: Ledger) -> list[tuple[int, ...]]:
    """Requests, input and output tokens, cost, calls of unknown cost, and what was saved, per group."""
    names = ("requests", "input_tokens", "output_tokens", "cost", "unknown", "saved")
    query = sa.select(*(spend_table.c[name] for name in names)).order_by(spend_table.c.model)
    return [tuple(row) for row in ledger.database.read(lambda link: link.execute(query).all())]


def spent(purse: Purse, most: int, cost: int, call: Call = CALL) -> None:
    purse.settle(purse.reserve(call, most), Usage(10, 2), cost)


def test_a_budget_is_spent_to_the_last_unit(budgets: Budgets, made: Callable[..., Purse]) -> None:
    """Calls are allowed while the most that they can cost is left, and not one unit beyond."""
    budgets.set(budget_of(100))
    purse = made()
    for _ in range(9):
        spent(purse, 10, 10)
    spent(purse, 10, 1)
    with pytest.raises(OverBudget):
        purse.reserve(CALL, 10)
    spent(purse, 9, 9)
    with pytest.raises(OverBudget):
        purse.reserve(CALL, 1)
    assert purse.refused == {"route support, per month": 2}


def test_the_error_tells_everything(budgets: Budgets, made: Callable[..., Purse]) -> None:
    """Which budget, what is spent and reserved, what is allowed, and when it is renewed; OpenAI's code and status."""
    budgets.set(budget_of(5 * 10**9))
    purse = made()
    spent(purse, 4 * 10**9, 4 * 10**9)
    purse.flush()
    with pytest.raises(OverBudget, match=(
        r"does not allow this call: route support, per month \(got 4 USD spent, 0 USD reserved, and up to 1\.5 USD "
        r"now; allowed 5 USD per month\)\. It is renewed at 20\d\d-\d\d-01 00:00 UTC\."
    )) as caught:  # fmt: skip
        purse.reserve(CALL, 15 * 10**8)
    assert (caught.value.http_status, caught.value.code, caught.value.may_pass) == (429, "insufficient_quota", False)


def test_what_a_call_did_not_take_is_there_for_the_next(budgets: Budgets, made: Callable[..., Purse]) -> None:
    """A reservation holds the most; what is left at its settlement, and all of a release, may be reserved again."""
    budgets.set(budget_of(10))
    purse = made()
    held = purse.reserve(CALL, 10)
    with pytest.raises(OverBudget) as caught:
        purse.reserve(CALL, 1)
    assert caught.value.may_pass
    purse.settle(held, Usage(), 4)
    held = purse.reserve(CALL, 6)
    purse.release(held)
    purse.release(held)
    purse.settle(held, Usage(), 6)  # nothing is counted twice
    spent(purse, 6, 6)
    purse.flush()
    assert budgets.standings([budget_of(10)])[0].spent == 10


def test_a_cost_nobody_knows_counts_as_the_most(ledger: Ledger, budgets: Budgets, made: Callable[..., Purse]) -> None:
    """As of a stream that broke."""
    budgets.set(budget_of(10))
    purse = made()
    purse.settle(purse.reserve(CALL, 7))
    purse.flush()
    assert booked(ledger) == [(1, 0, 0, 7, 0, 0)]


def test_a_cost_above_the_most_is_booked(budgets: Budgets, made: Callable[..., Purse]) -> None:
    """What a provider took is told as it is, and the rest of the budget is less by it."""
    budgets.set(budget_of(100))
    purse = made()
    spent(purse, 10, 95)
    purse.flush()
    assert budgets.standings([budget_of(100)])[0].spent == 95
    spent(purse, 5, 5)
    with pytest.raises(OverBudget):
        purse.reserve(CALL, 1)


def test_all_budgets_of_a_call_hold(budgets: Budgets, made: Callable[..., Purse]) -> None:
    """A call must be allowed by each budget that is for it; others are not touched."""
    for amount, whose in ((100, {}), (50, {"provider": "openai"}), (30, {"key": "key_1", "route": "support"})):
        budgets.set(Budget(amount, "day", **whose))
    purse = made()
    spent(purse, 30, 30)
    with pytest.raises(OverBudget, match="key key_1, route support, per day"):
        purse.reserve(CALL, 1)
    spent(purse, 20, 20, Call("default", "key_1", "sales", "openai", "gpt"))
    with pytest.raises(OverBudget, match="provider openai, per day"):
        purse.reserve(Call("default", "", "x", "openai", "gpt"), 1)
    spent(purse, 50, 50, OTHER)
    with pytest.raises(OverBudget, match="all calls, per day"):
        purse.reserve(OTHER, 1)


def test_a_model_without_a_price(ledger: Ledger, budgets: Budgets, made: Callable[..., Purse]) -> None:
    """Where a budget applies it is refused; else it counts as a request of unknown cost."""
    budgets.set(budget_of(10))
    purse = made()
    with pytest.raises(NoPrice, match=r"price is not known.*route support.*nanosmith\.toml"):
        purse.reserve(CALL, None)
    purse.settle(purse.reserve(OTHER, None), Usage(5, 1))
    purse.flush()
    assert booked(ledger) == [(1, 5, 1, 0, 1, 0)]


def test_calls_of_a_kind_are_one_row(ledger: Ledger, budgets: Budgets, made: Callable[..., Purse]) -> None:
    """The table grows with hours and kinds of calls, not with calls; what was answered here is a kind, too."""
    purse = made()
    purse.reserve(CALL, 1)  # from now on the purse has the database's time
    ahead_s = 3600 - (time.time() % 3600)
    if ahead_s < 10:
        time.sleep(ahead_s)
    for _ in range(20):
        spent(purse, 10, 3)
        purse.count_local(Call("default", "key_1", "support", "local", "nano"), Usage(10, 0), 4)
        purse.flush()
    assert booked(ledger) == [(20, 200, 40, 60, 0, 0), (20, 200, 0, 0, 0, 80)]


def test_a_budget_that_comes_later(budgets: Budgets, made: Callable[..., Purse]) -> None:
    """What was spent in the period before the budget was set counts; another process learns of it within seconds."""
    purse = made()
    spent(purse, 60, 60)
    purse.flush()
    budgets.set(budget_of(100))
    with pytest.raises(OverBudget, match=r"0\.00000006 USD spent"):
        made().reserve(CALL, 41)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            purse.release(purse.reserve(CALL, 41))
        except OverBudget:
            return
        time.sleep(0.05)
    pytest.fail("the budget was not seen")


def test_budgets_of_the_file(budgets: Budgets, made: Callable[..., Purse], ledger: Ledger) -> None:
    """Those of the configuration hold beside those of the ledger, the smaller one where both say something; a
    configuration that cannot be read allows nothing that costs."""
    budgets.set(budget_of(100))
    purse = made(configured=lambda: [budget_of(5), Budget(3, None, project="default")])
    with pytest.raises(OverBudget, match="route support"):
        purse.reserve(CALL, 6)
    with pytest.raises(OverBudget, match="project default, given once"):
        purse.reserve(CALL, 4)

    def broken() -> list[Budget]:
        raise InputError("not a budget", where="budget.total")

    with pytest.raises(Misconfigured, match=r"budget\.total"):
        made(configured=broken).reserve(CALL, 1)


def test_a_new_period(ledger: Ledger, budgets: Budgets, made: Callable[..., Purse]) -> None:
    """A budget is full again when its period ends; a call that began before is of the old one."""
    hourly = Budget(10, "hour", route="support")
    budgets.set(hourly)
    ahead_s = 0.0
    purse = made(clock=lambda: time.monotonic() + ahead_s)
    old = purse.reserve(CALL, 10)
    with pytest.raises(OverBudget):
        purse.reserve(CALL, 1)
    ahead_s = 3600.0
    ledger.database.now += ahead_s
    new = purse.reserve(CALL, 10)
    purse.settle(old, Usage(), 9)
    purse.settle(new, Usage(), 8)
    purse.flush()
    found = budgets.standings([hourly, Budget(99, None)])
    assert [one.spent for one in found] == [8, 17]


def test_old_accounts_go(ledger: Ledger, budgets: Budgets, made: Callable[..., Purse]) -> None:
    """Accounts of periods long over, and what dead processes held of them, are removed when a new one is opened."""
    budgets.set(Budget(10, "hour"))
    ahead_s, now = 0.0, ledger.database.now
    made(clock=lambda: time.monotonic() + ahead_s).reserve(CALL, 10)
    purse = made(clock=lambda: time.monotonic() + ahead_s)
    for ahead_s in (KEPT_S + 3600.0, KEPT_S + 7200.0):
        ledger.database.now = now + ahead_s
        purse.release(purse.reserve(CALL, 10))
    rows = [ledger.database.read(lambda link, t=t: link.execute(sa.select(t)).all()) for t in (accounts, allotments)]
    assert len(rows[0]) == 2
    assert {row.account for row in rows[1]} <= {row.seq for row in rows[0]}


def test_what_is_not_needed_goes_back(budgets: Budgets, made: Callable[..., Purse]) -> None:
    """A purse that is idle holds nothing, so that others find the rest of the budget."""
    budgets.set(budget_of(1_000_000))
    purse = made()
    for _ in range(200):
        spent(purse, 1_000, 1_000)
    deadline = time.monotonic() + 5
    while (found := budgets.standings([budget_of(1_000_000)])[0]).reserved and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (found.spent, found.reserved) == (200_000, 0)


def test_most_calls_wait_for_nothing(
    budgets: Budgets, made: Callable[..., Purse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten thousand calls in a row, the ledger is asked for a few."""
    budgets.set(budget_of(10**12))
    asked = []
    real = Budgets.allot
    monkeypatch.setattr(Budgets, "allot", lambda *given: asked.append(1) or real(*given))
    purse = made()
    for _ in range(10_000):
        held = purse.reserve_now(CALL, MOST) or purse.reserve(CALL, MOST)
        purse.settle(held, Usage(), MOST)
    assert len(asked) < 100


def test_threads_share_a_purse(budgets: Budgets, made: Callable[..., Purse]) -> None:
    """Thirty-two threads at once get what one would: the whole budget and nothing more."""
    budgets.set(budget_of(64 * MOST))
    purse, allowed = made(), []

    def one(_: int) -> None:
        try:
            spent(purse, MOST, MOST)
            allowed.append(1)
        except OverBudget:
            pass

    with ThreadPoolExecutor(32) as threads:
        list(threads.map(one, range(200)))
    purse.flush()
    assert len(allowed) == 64
    assert budgets.standings([budget_of(64 * MOST)])[0].spent == 64 * MOST


def test_four_processes_never_exceed(database: Path | str) -> None:
    """Ten thousand calls of four processes, 64 at a time, against a budget for a fifth of them: what all providers ask
    for is never above it, every unit of it is in the ledger, and nearly all of the budget was used."""
    amount = CALLS * MOST // 10
    ledger = Ledger(database)
    Budgets(ledger.database).set(budget_of(amount))
    processes = [spending(database, CALLS // PROCESSES, seed) for seed in range(PROCESSES)]
    bills = run_all(processes)
    found = standing(database, budget_of(amount))
    assert sum(bills) == found.spent <= amount
    assert (found.reserved, found.unsettled) == (0, 0)
    assert amount - found.spent < PROCESSES * 16 * MOST
    assert sum(row[3] for row in booked(ledger)) == found.spent
    ledger.close()


def run_all(processes: list) -> list[int]:  # type: ignore[type-arg]
    """What each process's calls cost; all begin at the same moment."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(len(processes)) as threads:
        outputs = list(threads.map(lambda process: process.communicate("\n")[0], processes))
    assert all(process.returncode == 0 for process in processes)
    return [billed(output.splitlines(keepends=True)) for output in outputs]


def test_a_killed_process_loses_nothing(database: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process that is killed had spent is booked, or counts as spent; others never exceed the budget with it."""
    amount = 4_000 * MOST
    ledger = Ledger(database)
    own = Budgets(ledger.database)
    own.set(budget_of(amount))
    processes = [spending(database, 100_000 if seed == 0 else 4_000, seed) for seed in range(PROCESSES)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
    outputs: list[list[str]] = [[] for _ in processes]
    readers = [
        threading.Thread(target=lambda process=process, lines=lines: lines.extend(process.stdout))  # type: ignore[misc]
        for process, lines in zip(processes, outputs)
    ]
    for process, reader in zip(processes, readers):
        reader.start()
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    while len(outputs[0]) < 300 and any(process.poll() is None for process in processes[1:]):  # it may come too late
        time.sleep(0.01)
    processes[0].kill()
    for process, reader in zip(processes, readers):
        process.wait()
        reader.join()
        for pipe in (process.stdin, process.stdout):
            pipe.close()  # type: ignore[union-attr]
    bills = [billed(lines) for lines in outputs]
    found = own.standings([budget_of(amount)])[0]
    held = found.reserved + found.unsettled
    assert sum(bills) <= found.spent + held <= amount
    assert sum(bills) - found.spent <= held
    assert found.spent >= sum(bills[1:])
    monkeypatch.setattr("nanosmith.store.ledger.budgets.SILENT_S", 0.0)
    assert own.release() == held
    assert own.standings([budget_of(amount)])[0].reserved == 0
    ledger.close()


def test_a_purse_thought_dead(budgets: Budgets, made: Callable[..., Purse], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was paused until others took its allotment spends nothing of that; what it had spent before is
    booked."""
    budgets.set(budget_of(100))
    ahead_s = 0.0
    paused = made(clock=lambda: time.monotonic() + ahead_s)
    held = paused.reserve(CALL, 60)
    monkeypatch.setattr("nanosmith.store.ledger.budgets.SILENT_S", -1.0)
    assert budgets.release() == 60
    other = made()
    spent(other, 100, 100)
    other.flush()
    ahead_s = SILENT_S
    paused.release(held)
    with pytest.raises(OverBudget):
        paused.reserve(CALL, 1)
    assert budgets.standings([budget_of(100)])[0].spent == 100


def test_a_ledger_that_is_away(
    ledger: Ledger, budgets: Budgets, made: Callable[..., Purse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Costs that cannot be booked are kept and booked once, also when it is not known whether the first attempt came
    through."""
    monkeypatch.setattr(purse_module.Purse, "_start", lambda self: None)
    budgets.set(budget_of(1_000))
    purse = made()
    for is_booked in (True, False, True):
        spent(purse, 100, 30)
        real = Budgets.settle

        def lost(self: Budgets, *given: object, is_booked: bool = is_booked, real: Callable[..., bool] = real) -> bool:
            if is_booked:
                real(self, *given)
            raise Unavailable("the database cannot be reached")

        monkeypatch.setattr(Budgets, "settle", lost)
        with pytest.raises(Unavailable):
            purse.flush()
        spent(purse, 100, 10)
        monkeypatch.setattr(Budgets, "settle", real)
    for _ in itertools.repeat(None, 4):
        purse.flush()
    found = budgets.standings([budget_of(1_000)])[0]
    assert (found.spent, found.reserved) == (120, 0)
    assert booked(ledger) == [(6, 60, 12, 120, 0, 0)]
