"""What budgets cost a gateway: reservations and settlements per second, and how long a call waits for them.

python bench/money.py                                # SQLite, in a temporary folder
python bench/money.py --database postgresql://…      # an empty database
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from contextlib import closing
from pathlib import Path

from nanosmith.core.budget import Budget, Call
from nanosmith.core.errors import OverBudget
from nanosmith.core.money import Usage, shown_usd
from nanosmith.store.ledger import Ledger
from nanosmith.store.ledger.budgets import Budgets
from nanosmith.store.purse import Purse

CALL = Call("default", "key", "support", "openai", "gpt")
MOST, COST = 1_000_000, 600_000
SHARES = (0.5, 0.99, 0.999)


def spend(where: str | Path, calls: int) -> tuple[int, float, list[float]]:
    """How many of the calls were allowed, the seconds of all, and what each waited, in microseconds."""
    waits_us, allowed = [], 0
    with closing(Ledger(where)) as ledger, closing(Purse(ledger.database)) as purse:
        began = time.perf_counter()
        for _ in range(calls):
            asked = time.perf_counter()
            try:
                held = purse.reserve_now(CALL, MOST) or purse.reserve(CALL, MOST)
            except OverBudget:
                continue
            finally:
                waits_us.append((time.perf_counter() - asked) * 1e6)
            purse.settle(held, Usage(500, 50), COST)
            allowed += 1
        return allowed, time.perf_counter() - began, waits_us


def measured(where: str | Path, processes: int, calls: int, amount: int) -> None:
    budget = Budget(amount, None, route=CALL.route)
    with closing(Ledger(where)) as ledger:
        own = Budgets(ledger.database)
        row = own.set(budget)
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            results = pool.starmap(spend, [(where, calls)] * processes)
        standing = own.standings([budget])[0]
        own.remove(row.id)
        own.write(lambda link, _now: link.exec_driver_sql("DELETE FROM accounts"))
        own.write(lambda link, _now: link.exec_driver_sql("DELETE FROM spend"))
    allowed = sum(result[0] for result in results)
    waits_us = sorted(wait for result in results for wait in result[2])
    shown = ", ".join(f"p{100 * share:g} {waits_us[int(share * len(waits_us))]:.1f} µs" for share in SHARES)
    per_s = processes * calls / max(result[1] for result in results)
    print(f"{processes} processes, {processes * calls:,} calls, budget {shown_usd(amount)}: {per_s:,.0f} calls/s; "
          f"waited {shown}, at most {waits_us[-1] / 1000:.1f} ms")  # fmt: skip
    print(f"  allowed {allowed:,}; cost {shown_usd(allowed * COST)}, booked {shown_usd(standing.spent)}, "
          f"not used {shown_usd(standing.left)}")  # fmt: skip
    assert allowed * COST == standing.spent <= amount


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="Of PostgreSQL, empty. None: SQLite.")
    parser.add_argument("--calls", type=int, default=2_500, help="Of each process.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = options.database or Path(folder) / "ledger.sqlite"
        Ledger(where).close()
        for processes in (1, 4):
            for share in (10.0, 0.25):
                amount = int(processes * options.calls * COST * share)
                measured(where, processes, options.calls, amount)


if __name__ == "__main__":
    main()
