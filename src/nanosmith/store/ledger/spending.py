"""What calls cost: allotments of budgets to processes, and what these settle.

What holds at every moment, for each account (a budget's period): spent + all allotments <= the budget. A process takes
an allotment before its calls and spends of it in memory; a settlement books what was spent and writes down what is left
of the allotment, in one transaction. So whatever a process that is killed had under way is still in its allotment, and
counts as spent until somebody gives it back (`nanosmith budgets release`) or the period ends.

All transactions here exclude each other: SQLite has one writer anyway, PostgreSQL takes a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from nanosmith.core.budget import DAY_S, HOUR_S, Budget, Call
from nanosmith.core.money import MOST_TOKENS, Usage
from nanosmith.store.ledger.database import Database

Result = TypeVar("Result")
MONEY_LOCK = 0x6D6F6E65  # "mone"
SHARE = 8
"""A process gets at most one of so many parts of what is left, so that others find something too; a single call gets
what it needs."""
SILENT_S = 60.0
"""A process that holds money writes at least each HEARTBEAT_S; after this time it is thought to be dead."""
HEARTBEAT_S = 15.0
SEEN = sa.text("UPDATE spenders SET seen_at = :now WHERE id = :id")
ENTER = sa.text("INSERT INTO spenders (id, owner, batch, seen_at) VALUES (:id, :owner, :batch, :now)")
ACCOUNT = sa.text("""
    SELECT seq, spent FROM accounts WHERE project = :project AND key = :key AND route = :route
    AND provider = :provider AND begins_at = :begins_at AND ends_at = :ends_at
""")
SPENT = sa.text("""
    SELECT COALESCE(SUM(cost), 0) FROM spend WHERE hour >= :begins_at AND hour < :ends_at
    AND (:project = '' OR project = :project) AND (:key = '' OR key = :key)
    AND (:route = '' OR route = :route) AND (:provider = '' OR provider = :provider)
""")
OPEN = sa.text("""
    INSERT INTO accounts (project, key, route, provider, begins_at, ends_at, spent)
    VALUES (:project, :key, :route, :provider, :begins_at, :ends_at, :spent) RETURNING seq, spent
""")
KEPT_S = 40 * DAY_S
"""How long the accounts of periods that are over are kept."""
TIDY = [
    sa.text("DELETE FROM allotments WHERE account IN (SELECT seq FROM accounts WHERE ends_at < :old)"),
    sa.text("DELETE FROM accounts WHERE ends_at < :old"),
    sa.text("DELETE FROM spenders WHERE seen_at < :old AND id NOT IN (SELECT spender FROM allotments)"),
]
HELD = sa.text("SELECT COALESCE(SUM(amount), 0) FROM allotments WHERE account = :account")
GIVE = sa.text("""
    INSERT INTO allotments (spender, account, amount) VALUES (:spender, :account, :amount)
    ON CONFLICT (spender, account) DO UPDATE SET amount = allotments.amount + excluded.amount
""")
KEEP = sa.text("""
    INSERT INTO allotments (spender, account, amount) VALUES (:spender, :account, :amount)
    ON CONFLICT (spender, account) DO UPDATE SET amount = excluded.amount
""")
GIVE_BACK = sa.text("DELETE FROM allotments WHERE spender = :spender AND account = :account")
NEXT_BATCH = sa.text("UPDATE spenders SET batch = :batch, seen_at = :now WHERE id = :id AND batch < :batch")
KNOWN = sa.text("SELECT seq FROM spenders WHERE id = :id")
BOOK = sa.text("""
    INSERT INTO spend (hour, project, key, route, provider, model,
        requests, input_tokens, cached_tokens, output_tokens, cost, unknown, saved)
    VALUES (:hour, :project, :key, :route, :provider, :model,
        :requests, :input_tokens, :cached_tokens, :output_tokens, :cost, :unknown, :saved)
    ON CONFLICT (hour, project, key, route, provider, model) DO UPDATE SET
        requests = spend.requests + excluded.requests, input_tokens = spend.input_tokens + excluded.input_tokens,
        cached_tokens = spend.cached_tokens + excluded.cached_tokens, unknown = spend.unknown + excluded.unknown,
        output_tokens = spend.output_tokens + excluded.output_tokens, cost = spend.cost + excluded.cost,
        saved = spend.saved + excluded.saved
""")
CHARGE = sa.text("""
    UPDATE accounts SET spent = spent + :cost WHERE begins_at <= :hour AND ends_at > :hour
    AND project IN ('', :project) AND key IN ('', :key) AND route IN ('', :route) AND provider IN ('', :provider)
""")


class Sums(msgspec.Struct):
    """Of several calls of one kind: their tokens, their cost and what they saved in nano-dollars. `unknown` of them
    have no known cost."""

    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    unknown: int = 0
    saved: int = 0

    def count(self, usage: Usage | None, cost: int | None, saved: int = 0) -> None:
        """One call more."""
        used = usage or Usage()
        self.requests += 1
        self.input_tokens += min(used.input, MOST_TOKENS)
        self.cached_tokens += min(used.cached, MOST_TOKENS)
        self.output_tokens += min(used.output, MOST_TOKENS)
        self.cost += cost or 0
        self.unknown += cost is None
        self.saved += saved


class Want(msgspec.Struct, frozen=True):
    """`needed`: the least that helps; `wanted`: what would also serve the calls that follow. In nano-dollars."""

    budget: Budget
    needed: int
    wanted: int


class Grant(msgspec.Struct, frozen=True):
    """`given` is 0 where less than what was needed is left. `spent` and `held` are of the whole account: settled, and
    allotted before this."""

    account: int
    begins_at: int
    ends_at: int
    given: int
    spent: int
    held: int


class Spending:
    """The money of all projects in one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def allot(self, spender: str, owner: str, wants: Sequence[Want]) -> tuple[bool, list[Grant]]:
        """Give a process money of each budget, as far as there is some. False when the process was not known: what it
        had before, if anything, it has no more. What is given is durable when this returns."""

        def give(link: sa.Connection, now: float) -> tuple[bool, list[Grant]]:
            known = link.execute(SEEN, {"id": spender, "now": now}).rowcount > 0
            if not known:
                link.execute(ENTER, {"id": spender, "owner": owner, "batch": 0, "now": now})
            return known, [_grant(link, spender, want, now) for want in wants]

        return self.write(give)

    def settle(
        self, spender: str, owner: str, batch: int, sums: Mapping[tuple[int, Call], Sums], left: Mapping[int, int]
    ) -> bool:
        """Book what calls cost, by the hour that they began in, and what is left of each allotment, by account. A batch
        is booked once, however often it is sent. False when the process was not known: what it spent is booked all the
        same, what it had is gone. Durable when this returns."""
        who = {"id": spender, "owner": owner, "batch": batch}

        def book(link: sa.Connection, now: float) -> bool:
            is_next = link.execute(NEXT_BATCH, who | {"now": now}).rowcount > 0
            known = is_next or link.execute(KNOWN, who).first() is not None
            if known and not is_next:
                return True  # it was booked, and the answer was lost
            if not known:
                link.execute(ENTER, who | {"now": now})
            _book(link, sums)
            for account, amount in left.items() if known else ():
                row = {"spender": spender, "account": account, "amount": amount}
                link.execute(KEEP if amount else GIVE_BACK, row)
            return known

        return self.write(book)

    def leave(self, spender: str) -> None:
        """A process ends, having settled everything: what it still had is given back."""

        def remove(link: sa.Connection, _now: float) -> None:
            for table, column in (("allotments", "spender"), ("spenders", "id")):
                link.execute(sa.text(f"DELETE FROM {table} WHERE {column} = :id"), {"id": spender})  # noqa: S608

        self.write(remove)

    def write(self, work: Callable[[sa.Connection, float], Result]) -> Result:
        """Run `work` in one transaction, alone among all that are about money, with the database's time."""

        def alone(link: sa.Connection) -> Result:
            if not self.database.is_sqlite:
                link.execute(sa.select(sa.func.pg_advisory_xact_lock(MONEY_LOCK)))
            return work(link, float(link.execute(sa.select(self.database.now)).scalar_one()))

        return self.database.write(alone)


def account_of(link: sa.Connection, budget: Budget, now: float) -> tuple[dict[str, Any], sa.Row[Any] | None]:
    """What names a budget's account of the period that `now` belongs to, and the account, None where nobody asked for
    it yet."""
    begins_at, ends_at = budget.bounds(now)
    whose: dict[str, Any] = {
        "project": budget.project, "key": budget.key, "route": budget.route, "provider": budget.provider,
        "begins_at": begins_at, "ends_at": ends_at,
    }  # fmt: skip
    return whose, link.execute(ACCOUNT, whose).first()


def spent_before(link: sa.Connection, whose: Mapping[str, Any]) -> int:
    """What calls had cost in a period before the budget was there."""
    return int(link.execute(SPENT, whose).scalar_one())


def _grant(link: sa.Connection, spender: str, want: Want, now: float) -> Grant:
    whose, row = account_of(link, want.budget, now)
    if row is None:
        row = link.execute(OPEN, whose | {"spent": spent_before(link, whose)}).one()
        for statement in TIDY:
            link.execute(statement, {"old": now - KEPT_S})
    held = int(link.execute(HELD, {"account": row.seq}).scalar_one())
    remaining = want.budget.amount - row.spent - held
    given = 0 if remaining < want.needed else max(want.needed, min(want.wanted, remaining // SHARE))
    if given:
        link.execute(GIVE, {"spender": spender, "account": row.seq, "amount": given})
    return Grant(row.seq, whose["begins_at"], whose["ends_at"], given, row.spent, held)


def _book(link: sa.Connection, sums: Mapping[tuple[int, Call], Sums]) -> None:
    for (hour, call), sum in sums.items():
        row = {"hour": hour} | msgspec.structs.asdict(call) | msgspec.structs.asdict(sum)
        link.execute(BOOK, row)
        if sum.cost:
            link.execute(CHARGE, row)


def hour_of(now_s: float) -> int:
    """The first second of the hour."""
    return int(now_s) // HOUR_S * HOUR_S
