"""Budgets that were set by hand, and how each budget stands."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from nanosmith.core.budget import SCOPES, Budget
from nanosmith.store.ledger.rows import new_id
from nanosmith.store.ledger.spending import HELD, SILENT_S, Spending, account_of, spent_before
from nanosmith.store.ledger.tables import allotments, budgets, projects, spenders

WHOSE = (*SCOPES, "period")


class BudgetRow(msgspec.Struct, frozen=True):
    """One that is kept in the ledger."""

    id: str
    budget: Budget


class Standing(msgspec.Struct, frozen=True):
    """Of one budget's current period, in nano-dollars: `spent` is settled, `reserved` is with processes that work, and
    `unsettled` with those that ended without a word: what they spent of it is not known."""

    budget: Budget
    begins_at: int
    ends_at: int
    spent: int
    reserved: int
    unsettled: int

    @property
    def left(self) -> int:
        return self.budget.amount - self.spent - self.reserved - self.unsettled


class Budgets(Spending):
    """Those of all projects."""

    def set(self, budget: Budget) -> BudgetRow:
        """Add a budget, or change the amount of the one for the same calls and period."""
        values: dict[str, Any] = {name: getattr(budget, name) or "" for name in WHOSE}
        same = [budgets.c[name] == value for name, value in values.items()]
        change = sa.update(budgets).where(*same).values(amount=budget.amount).returning(budgets.c.id)

        def change_or_add(link: sa.Connection, _now: float) -> str:
            id = link.execute(change).scalar()
            if id is None:
                id = new_id("budget_")
                row = values | {"id": id, "amount": budget.amount, "created_at": int(time.time())}
                link.execute(budgets.insert(), row)
            return str(id)

        return BudgetRow(self.write(change_or_add), budget)

    def remove(self, id: str) -> bool:
        gone = budgets.delete().where(budgets.c.id == id)
        return self.write(lambda link, _now: link.execute(gone).rowcount) > 0

    def rows(self) -> list[BudgetRow]:
        """Oldest first."""
        return self.read()[1]

    def read(self) -> tuple[float, list[BudgetRow]]:
        """The database's time, and all rows, oldest first."""
        query, clock = sa.select(budgets).order_by(budgets.c.seq), sa.select(self.database.now)

        def look(link: sa.Connection) -> tuple[float, list[BudgetRow]]:
            return float(link.execute(clock).scalar_one()), [_read(row) for row in link.execute(query)]

        return self.database.read(look)

    def named(self, given: Iterable[Budget]) -> list[Budget]:
        """Budgets as people write them: a project may be named, where rows have its id."""
        written = list(given)
        if not any(budget.project for budget in written):
            return written
        query = sa.select(projects.c.name, projects.c.id)
        ids = {row.name: row.id for row in self.database.read(lambda link: link.execute(query).all())}
        return [msgspec.structs.replace(budget, project=ids.get(budget.project, budget.project)) for budget in written]

    def standings(self, wanted: Iterable[Budget]) -> list[Standing]:
        """How each stands now."""
        return self.write(lambda link, now: [_standing(link, budget, now) for budget in wanted])

    def release(self) -> int:
        """Give back what processes hold that ended without a word, and forget them; returns the nano-dollars. Only who
        knows that they spent none of it, or has compared the provider's bill, may say so."""

        def forget(link: sa.Connection, now: float) -> int:
            silent = sa.select(spenders.c.id).where(spenders.c.seen_at < now - SILENT_S)
            theirs = allotments.delete().where(allotments.c.spender.in_(silent)).returning(allotments.c.amount)
            amount: int = sum(link.execute(theirs).scalars())
            link.execute(spenders.delete().where(spenders.c.seen_at < now - SILENT_S))
            return amount

        return self.write(forget)


def _read(row: sa.Row[Any]) -> BudgetRow:
    values = {name: getattr(row, name) for name in SCOPES}
    return BudgetRow(row.id, msgspec.convert({"amount": row.amount, "period": row.period or None} | values, Budget))


def _standing(link: sa.Connection, budget: Budget, now: float) -> Standing:
    whose, row = account_of(link, budget, now)
    period = whose["begins_at"], whose["ends_at"]
    if row is None:
        return Standing(budget, *period, spent_before(link, whose), 0, 0)
    silent = sa.select(sa.func.coalesce(sa.func.sum(allotments.c.amount), 0)).join(
        spenders, spenders.c.id == allotments.c.spender, isouter=True
    )
    lost = silent.where(allotments.c.account == row.seq, sa.func.coalesce(spenders.c.seen_at, 0) < now - SILENT_S)
    held, unsettled = link.execute(HELD, {"account": row.seq}).scalar_one(), link.execute(lost).scalar_one()
    return Standing(budget, *period, row.spent, int(held) - int(unsettled), int(unsettled))
