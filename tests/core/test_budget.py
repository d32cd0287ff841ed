"""Budgets: periods, whose calls they hold for, and how they are written."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.budget import FOR_EVER, Budget, Call, bounds_of, configured_budgets, renewal, smallest
from nanosmith.core.errors import InputError
from nanosmith.core.money import NANO, Period
from nanosmith.core.route import Route

SUPPORT = Route(name="support", steps=(), budget=("20 USD / month",))
CALL = Call("acme", "key_1", "support", "openai", "gpt")


def at(*when: int) -> int:
    return calendar.timegm((*when, 0, 0, 0)[:6])


@pytest.mark.parametrize(
    ("period", "now", "begins", "ends"),
    [
        ("hour", (2026, 11, 22, 20, 59, 59), (2026, 11, 22, 20), (2026, 11, 22, 21)),
        ("day", (2028, 2, 29, 0, 0, 0), (2028, 2, 29, 0), (2028, 3, 1, 0)),
        ("week", (2026, 11, 22, 23, 0, 0), (2026, 11, 16, 0), (2026, 11, 23, 0)),
        ("week", (2026, 11, 23, 0, 0, 0), (2026, 11, 23, 0), (2026, 11, 30, 0)),
        ("month", (2026, 12, 31, 23, 0, 0), (2026, 12, 1, 0), (2027, 1, 1, 0)),
    ],
)
def test_periods(period: Period, now: tuple[int, ...], begins: tuple[int, ...], ends: tuple[int, ...]) -> None:
    """UTC's hours and days, weeks from Monday, months."""
    assert bounds_of(period, at(*now)) == (at(*begins), at(*ends))


@given(st.sampled_from(["hour", "day", "week", "month"]), st.integers(0, 4 * 10**9))
def test_every_moment_has_one_period(period: Period, now: int) -> None:
    """Periods follow each other without gaps, begin with an hour, and hold what they are asked for."""
    begins, ends = bounds_of(period, now)
    assert begins <= now < ends
    assert begins % 3600 == 0
    assert bounds_of(period, ends)[0] == ends
    moment = datetime.fromtimestamp(begins, UTC)
    assert (moment.hour, moment.minute) == (0, 0) or period == "hour"
    assert period != "week" or (moment.weekday() == 0 and timedelta(seconds=ends - begins) == timedelta(weeks=1))
    assert period != "month" or moment.day == 1


def test_for_ever() -> None:
    """A budget without a period is never renewed."""
    assert Budget(1).bounds(1e9) == (0, FOR_EVER)
    assert renewal(FOR_EVER) == "It is not renewed."
    assert renewal(at(2026, 12, 1, 0)) == "It is renewed at 2026-12-01 00:00 UTC."


def test_whose_calls() -> None:
    """A budget is for the calls that have all the values that it names."""
    assert Budget(1).holds_for(CALL)
    assert Budget(1, route="support", project="acme").holds_for(CALL)
    assert not Budget(1, route="support", project="other").holds_for(CALL)
    assert not Budget(1, key="key_2").holds_for(CALL)


def test_the_file() -> None:
    """Routes' own budgets and the table [budget], with one or several periods."""
    table = {
        "total": "100 USD / month",
        "route": {"support": ["2 USD / day", "$9"]},
        "provider": {"openai": "50 USD / month"},
        "key": {"key_1": "1 USD / hour"},
    }
    assert configured_budgets(table, [SUPPORT, Route(name="free", steps=())]) == (
        Budget(20 * NANO, "month", route="support"),
        Budget(100 * NANO, "month"),
        Budget(2 * NANO, "day", route="support"),
        Budget(9 * NANO, None, route="support"),
        Budget(50 * NANO, "month", provider="openai"),
        Budget(NANO, "hour", key="key_1"),
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"totl": "1 USD"}, r"budget\.totl: no such budget .*total, project, key, route, provider"),
        ({"route": "1 USD"}, r"budget\.route: this must be a table"),
        ({"route": {"a": 5}}, r"budget\.route\.a: a budget is written as a text"),
        ({"route": {"a": "5 EUR"}}, r"budget\.route\.a: not a budget .*5 EUR"),
        ({"route": {"support": "5 USD / month"}}, r"budget\.route\.support: a second budget for the same"),
        ({"total": [["1 USD"]]}, r"budget\.total: a budget is written as a text"),
    ],
)
def test_a_wrong_file(table: dict[str, Any], message: str) -> None:
    """What is wrong is told with its place."""
    with pytest.raises(InputError, match=message):
        configured_budgets(table, [SUPPORT])


def test_the_smallest_holds() -> None:
    """Of several budgets for the same calls and period, the smallest; others are not touched."""
    small, large, other = Budget(1, "day", route="a"), Budget(2, "day", route="a"), Budget(9, "hour", route="a")
    assert smallest([large, small, other]) == (small, other)
