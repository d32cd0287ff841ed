"""What calls cost: sums for people, from the hourly rows that settlements left."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import msgspec
import sqlalchemy as sa

from nanosmith.core.budget import DAY_S
from nanosmith.store.ledger.rows import Rows
from nanosmith.store.ledger.spending import Sums
from nanosmith.store.ledger.tables import spend

By: TypeAlias = Literal["model", "route", "key", "day", "project", "provider"]
SUMMED = Sums.__struct_fields__
COLUMNS: dict[str, tuple[sa.ColumnElement[Any], ...]] = {
    "model": (spend.c.provider, spend.c.model),
    "day": ((spend.c.hour - spend.c.hour % DAY_S).label("day"),),
    **{name: (spend.c[name],) for name in ("route", "key", "project", "provider")},
}
TABLES: tuple[By, ...] = get_args(By)


class CostGroup(msgspec.Struct, frozen=True):
    """`name` as text parts: of a model its provider and name, of a day its first second."""

    name: tuple[str, ...]
    sums: Sums


class CostRows(Rows):
    """Of all projects."""

    def groups(self, by: By, *, since: int = 0, project: str | None = None) -> list[CostGroup]:
        """Calls that began at `since` (Unix seconds, rounded down to the hour) or later; the dearest group first, days
        in their order."""
        columns = COLUMNS[by]
        sums = [sa.func.sum(spend.c[name]).label(name) for name in SUMMED]
        query = sa.select(*columns, *sums).where(spend.c.hour >= since - since % 3600).group_by(*columns)
        if project is not None:
            query = query.where(spend.c.project == project)
        rows = self.database.read(lambda link: link.execute(query).all())
        found = [CostGroup(tuple(map(str, row[: len(columns)])), _sums(row)) for row in rows]
        if by == "day":
            return sorted(found, key=lambda group: int(group.name[0]))
        return sorted(found, key=lambda group: (-group.sums.cost, -group.sums.requests, group.name))

    def forget(self, before: int) -> int:
        """Delete the rows of hours that began before this (Unix seconds); returns how many. What budgets have spent is
        kept beside them, but a budget that is set later does not see what was forgotten."""
        gone = spend.delete().where(spend.c.hour < before)
        return self._write(lambda link: link.execute(gone).rowcount)


def _sums(row: sa.Row[Any]) -> Sums:
    return Sums(**{name: int(getattr(row, name)) for name in SUMMED})
