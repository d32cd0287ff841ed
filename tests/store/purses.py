"""What the tests of purses share: calls, budgets, and a process that spends."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.store.ledger_rows import where_of

from nanosmith.core.budget import Budget, Call
from nanosmith.core.errors import OverBudget
from nanosmith.core.money import Usage
from nanosmith.store.ledger import Ledger
from nanosmith.store.ledger.budgets import Budgets, Standing
from nanosmith.store.purse import Purse

CALL = Call("default", "key_1", "support", "openai", "gpt")
BUDGET = Budget(0, "month", route="support")
MOST = 1_000
SPEND = f"""
import sys
from {__name__} import spend
spend(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
"""


def budget_of(amount: int, **whose: Any) -> Budget:
    return Budget(amount, "month", **(whose or {"route": "support"}))


def standing(database: Path | str, budget: Budget) -> Standing:
    ledger = Ledger(database)
    found = Budgets(ledger.database).standings([budget])[0]
    ledger.close()
    return found


def spend(where: str, calls: int, seed: int) -> None:
    """Make so many calls from 16 threads, each of up to MOST, and print what all that were allowed cost; at the first
    line of input, which comes when all such processes are ready."""
    ledger, numbers, lock = Ledger(where_of(where)), random.Random(seed), threading.Lock()
    purse, total = Purse(ledger.database), [0, 0]

    def one(_: int) -> None:
        with lock:
            cost, fails = numbers.randint(0, MOST), numbers.random() < 0.1
        try:
            held = purse.reserve_now(CALL, MOST) or purse.reserve(CALL, MOST)
        except OverBudget:
            return
        if fails:
            purse.release(held)
            return
        with lock:
            total[0] += 1
            total[1] += cost
            print("called", cost, flush=True)  # the provider's bill
        purse.settle(held, Usage(10, 1), cost)

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(one, range(calls)))
    purse.close()
    ledger.close()
    print("done", *total, flush=True)


def spending(database: Path | str, calls: int, seed: int) -> subprocess.Popen[str]:
    """A process that does so."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", SPEND, str(database), str(calls), str(seed)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes)


def billed(lines: list[str]) -> int:
    """What a provider would ask for all calls that such a process made."""
    return sum(int(line.split()[1]) for line in lines if line.startswith("called") and line.endswith("\n"))
