"""Dates and times of day as people write them: in numbers, and with the names of months in some languages of Europe."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time
from typing import Literal, TypeAlias, cast

from nanosmith.core.errors import InputError

Order: TypeAlias = Literal["dmy", "mdy", "ymd"]
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
OTHER_NAMES = (
    "januar januari janvier janv enero ene gennaio janeiro jänner jän",
    "februar februari février fevrier févr fevr febrero febbraio fevereiro fev",
    "märz maerz mär mars marzo março marco maart mrt",
    "avril avr abril abr aprile",
    "mai mayo maggio maio mei maj",
    "juni juin junio giugno junho",
    "juli juillet juil julio luglio julho",
    "augusti augustus août aout agosto",
    "sept septembre septiembre setiembre settembre setembro",
    "oktober okt octobre octubre ottobre outubro",
    "novembre noviembre novembro",
    "dezember dez décembre decembre déc diciembre dic dicembre dezembro desember",
)
"""What else the months are called: German, French, Spanish, Italian, Portuguese, Dutch, Scandinavian. Short forms that
are English words ("set", "ago", "out") are left out."""
NUMBER_OF = {
    name: number
    for number, (english, others) in enumerate(zip(MONTHS, OTHER_NAMES), start=1)
    for name in (english, english[:3], *others.split())
}
MONTH = "|".join(sorted(NUMBER_OF, key=len, reverse=True))
NUMBERS = re.compile(r"(?<!\d)(\d{1,4})\s?[./\-–—\s年년]\s?(\d{1,2})\s?[./\-–—\s月월]\s?(\d{1,4})(?!\d)(?:\s?[日일])?")
COMPACT = re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(?!\d)")
DAY_MONTH = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|er|º)?(?:\s+(?:of|de))?[\s./,\-]*\b({MONTH})\b"
    r"\.?(?:(?:\s+del?\b)?[\s.,/'’\-]*(\d{4}|\d{2})(?!\d))?",
    re.I,
)  # fmt: skip
DAY_MONTH_JOINED = re.compile(rf"(?<!\d)(\d{{1,2}})({MONTH})\.?[\s/'’\-]*(\d{{4}}|\d{{2}})(?!\d)", re.I)
MONTH_DAY = re.compile(
    rf"\b({MONTH})\.?[\s.,/\-]*(\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:[\s.,/'’\-]+(\d{{4}}|\d{{2}})(?!\d))?", re.I
)  # fmt: skip
YEAR_MONTH = re.compile(rf"(?<!\d)(\d{{4}})[\s./\-]*({MONTH})\.?[\s./\-]*(\d{{1,2}})(?!\d)", re.I)
TIME = re.compile(
    r"(?<![\d.,])(\d{1,2})(?:\s?(?::|\.|h)\s?(\d{2})(?::(\d{2}))?|(\d{2}))?\s?([ap])?(?:\.?\s?m\.?)?(?![\d\w])", re.I
)
CODES_OF_DATE = frozenset(("%d", "%-d", "%m", "%-m", "%b", "%B", "%Y", "%y"))
CODES_OF_TIME = frozenset(("%H", "%-H", "%I", "%-I", "%M", "%S", "%p"))
CODE = re.compile(r"%-?.")
NO_YEAR = 1904  # a leap year, for dates without one
PIVOT = 70  # two-digit years from here on are of the last century


def date_step(order: str, form: str) -> Callable[[str], str | None]:
    """A step that reads dates. Raises InputError for an unknown code."""
    _check(form, CODES_OF_DATE)
    needs_year = "%Y" in form or "%y" in form

    def step(text: str) -> str | None:
        found = read_date(text, cast(Order, order)) if len(text) <= 100 else None
        return None if found is None or (needs_year and found.year == NO_YEAR) else written_date(found, form)

    return step


def time_step(form: str) -> Callable[[str], str | None]:
    """A step that reads times. Raises InputError for an unknown code."""
    _check(form, CODES_OF_TIME)

    def step(text: str) -> str | None:
        found = read_time(text) if len(text) <= 100 else None
        return None if found is None else written_time(found, form)

    return step


def read_date(text: str, order: Order) -> date | None:
    """The first date in the text; one without a year has the year NO_YEAR. None where there is none."""
    if match := YEAR_MONTH.search(text):
        return _date(match[1], _month(match[2]), match[3])
    if match := DAY_MONTH.search(text) or DAY_MONTH_JOINED.search(text):
        return _date(match[3], _month(match[2]), match[1])
    if match := MONTH_DAY.search(text):
        return _date(match[3], _month(match[1]), match[2])
    if match := NUMBERS.search(text):
        return _of_numbers(match[1], match[2], match[3], order)
    if match := COMPACT.search(text):
        return _date(match[1], int(match[2]), match[3])
    return None


def _of_numbers(first: str, second: str, third: str, order: Order) -> date | None:
    """Numbers alone: a year of four digits says itself where it stands."""
    if len(first) > 2 or order == "ymd":
        return _date(first, int(second), third)
    day, month = (first, second) if order == "dmy" else (second, first)
    return _date(third, int(month), day) or _date(third, int(day), month)


def _date(year: str | None, month: int, day: str) -> date | None:
    number = NO_YEAR if year is None else int(year)
    if year is not None and len(year) == 2:
        number += 1900 if number >= PIVOT else 2000
    if year is not None and len(year) in (1, 3):
        return None
    try:
        return date(number, month, int(day))
    except ValueError:
        return None


def _month(name: str) -> int:
    return NUMBER_OF[name.lower()]


def read_time(text: str) -> time | None:
    """The time of day in the text, None where there is none."""
    low = text.strip().lower()
    if low in ("noon", "midday", "midnight"):
        return time(0 if low == "midnight" else 12)
    match = TIME.search(low)
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2] or match[4] or 0), int(match[3] or 0)
    if match[5] is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[5] == "p" else 0)
    try:
        return time(hour, minute, second)
    except ValueError:
        return None


def written_date(value: date, form: str) -> str:
    """As strftime writes it, whatever the locale."""
    month = MONTHS[value.month - 1].capitalize()
    parts = {
        "%d": f"{value.day:02}", "%-d": f"{value.day}", "%m": f"{value.month:02}", "%-m": f"{value.month}",
        "%b": month[:3], "%B": month, "%Y": f"{value.year:04}", "%y": f"{value.year % 100:02}",
    }  # fmt: skip
    return CODE.sub(lambda code: parts[code[0]], form)


def written_time(value: time, form: str) -> str:
    """As strftime writes it, whatever the locale."""
    hour = value.hour % 12 or 12
    parts = {
        "%H": f"{value.hour:02}", "%-H": f"{value.hour}", "%I": f"{hour:02}", "%-I": f"{hour}",
        "%M": f"{value.minute:02}", "%S": f"{value.second:02}", "%p": "AM" if value.hour < 12 else "PM",
    }  # fmt: skip
    return CODE.sub(lambda code: parts[code[0]], form)


def _check(form: str, known: frozenset[str]) -> None:
    unknown = sorted(set(CODE.findall(form)) - known)
    if unknown or "%" not in form:
        raise InputError("not a format", got=repr(form), allowed=" ".join(sorted(known)))
