"""Budgets: how much money the calls of a project, key, route or provider may cost in a period.

Periods are UTC's: hours, days, weeks from Monday, months. A budget without a period is given once.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.money import EXAMPLES, Period, parse_allowance, shown_usd
from nanosmith.core.route import Route

HOUR_S = 3600
DAY_S = 24 * HOUR_S
MONDAY = 4 * DAY_S
"""The first Monday of Unix time, which began on a Thursday."""
FOR_EVER = 2**53
"""The end of a budget without a period: later than any time, and exact in a float."""
ALL = "total"
"""In [budget], what all calls together may cost."""
LOCAL = "local"
"""The provider of calls that were answered here."""
SCOPES = ("project", "key", "route", "provider")


class Call(msgspec.Struct, frozen=True):
    """Whose call it is, and what it asks. `key` is a key's id; both are empty where there is none."""

    project: str
    key: str
    route: str
    provider: str
    model: str


class Budget(msgspec.Struct, frozen=True):
    """`amount` nano-dollars per `period` for the calls that have all the values that are given; empty: any."""

    amount: int
    period: Period | None = None
    project: str = ""
    key: str = ""
    route: str = ""
    provider: str = ""

    def holds_for(self, call: Call) -> bool:
        return all(not (wanted := getattr(self, scope)) or wanted == getattr(call, scope) for scope in SCOPES)

    @property
    def identity(self) -> tuple[str, ...]:
        """Two budgets with the same are one, of which the smaller amount holds."""
        return (*(getattr(self, scope) for scope in SCOPES), self.period or "")

    @property
    def name(self) -> str:
        """ "route support, provider openai, per month"."""
        parts = [f"{scope} {value}" for scope in SCOPES if (value := getattr(self, scope))]
        return ", ".join([*(parts or ["all calls"]), f"per {self.period}" if self.period else "given once"])

    def bounds(self, now_s: float) -> tuple[int, int]:
        """The period that this moment belongs to: its first second, and the first after it."""
        return bounds_of(self.period, int(now_s))


def bounds_of(period: Period | None, now_s: int) -> tuple[int, int]:
    """First second of the period, and the first after it, as Unix seconds."""
    if period is None:
        return 0, FOR_EVER
    if period == "month":
        year, month = time.gmtime(now_s)[:2]
        following = (year, month + 1) if month < 12 else (year + 1, 1)
        return calendar.timegm((year, month, 1, 0, 0, 0)), calendar.timegm((*following, 1, 0, 0, 0))
    length, first = {"hour": (HOUR_S, 0), "day": (DAY_S, 0), "week": (7 * DAY_S, MONDAY)}[period]
    begins_at = now_s - (now_s - first) % length
    return begins_at, begins_at + length


def renewal(ends_at: int) -> str:
    """When a budget is full again, for messages."""
    if ends_at >= FOR_EVER:
        return "It is not renewed."
    return f"It is renewed at {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(ends_at))}."


def configured_budgets(table: Mapping[str, Any], routes: Iterable[Route] = ()) -> tuple[Budget, ...]:
    """Those of nanosmith.toml: of its decoded table [budget], and of `budget` in each [route.NAME].

        [budget]
        total = "100 USD / month"                 # all calls together
        route.support = ["20 USD / month", "2 USD / day"]
        provider.openai = "50 USD / month"        # also: project.NAME, key.ID

    Raises InputError.
    """
    found: dict[tuple[str, ...], Budget] = {}
    for where, budget in _written(table, routes):
        if budget.identity in found:
            raise InputError("a second budget for the same", where=where, got=budget.name, param=where)
        found[budget.identity] = budget
    return tuple(found.values())


def _written(table: Mapping[str, Any], routes: Iterable[Route]) -> Iterator[tuple[str, Budget]]:
    """Where each stands, and what it is."""
    for route in routes:
        yield from _of_texts(f"route.{route.name}.budget", list(route.budget), route=route.name)
    for scope, content in table.items():
        if scope == ALL:
            yield from _of_texts(f"budget.{ALL}", content)
        elif scope in SCOPES:
            for name, texts in _table(content, f"budget.{scope}").items():
                yield from _of_texts(f"budget.{scope}.{name}", texts, **{scope: name})
        else:
            where = f"budget.{scope}"
            raise InputError("no such budget", where=where, allowed=", ".join((ALL, *SCOPES)), param=where)


def _table(content: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise InputError("this must be a table", where=where, got=repr(content)[:80], param=where)
    return content


def _of_texts(where: str, content: Any, **scope: str) -> Iterator[tuple[str, Budget]]:
    texts = content if isinstance(content, list) else [content]
    for text in texts:
        if not isinstance(text, str):
            raise InputError("a budget is written as a text", where=where, got=repr(text)[:80], param=where)
        try:
            amount, period = parse_allowance(text)
        except InputError as error:
            raise InputError("not a budget", where=where, got=repr(text), allowed=EXAMPLES, param=where) from error
        yield where, Budget(amount, period, **scope)


def smallest(budgets: Iterable[Budget]) -> tuple[Budget, ...]:
    """Of several budgets for the same, the smallest."""
    kept: dict[tuple[str, ...], Budget] = {}
    for budget in budgets:
        other = kept.get(budget.identity)
        if other is None or budget.amount < other.amount:
            kept[budget.identity] = budget
    return tuple(kept.values())


def allowed_text(budget: Budget) -> str:
    """ "20 USD per month"."""
    return f"{shown_usd(budget.amount)} {f'per {budget.period}' if budget.period else 'once'}"
