"""From a text as it was copied to the value that the record holds.

A normaliser is named by its steps, joined by "+": each takes a text and gives a text, the last one may give a number.

verbatim              as it is
spaces                one space for any white space, none at the ends
nospace               no white space at all
tight                 no space before , . ; : ! ? % ) ] } and after ( [ {, none around - / ' ’
commas                no space before a comma and one after it
nfkc                  composed letters, and plain ones for wide ones (Unicode's form NFKC)
strip                 no punctuation at the ends
digits, alnum         these characters alone
lower, upper, title   the case
integer, number, float  a number: `number` has a fraction where the text has one, `float` always; currency signs, units
                      and thousands separators are left out, number words are read. "1,5" is one and a half, "1,500"
                      thousands; with ":comma" a point separates thousands and a comma always is the decimal sign
fixed:2               a number as a text with so many decimals
percent               a number of hundredths: "5 %" is 0.05
date:ORDER:FORMAT     a date; ORDER is dmy, mdy or ymd and says how numbers alone are read, FORMAT has the codes %d %-d
                      %m %-m %b %B %Y %y
time:FORMAT           a time of day; FORMAT has %H %-H %I %-I %M %S %p
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache, partial
from typing import TypeAlias

import msgspec

from nanosmith.core.dates import date_step, time_step
from nanosmith.core.errors import InputError
from nanosmith.core.numbers import read_number

Step: TypeAlias = Callable[[str], str | int | float | None]
MAX_CHARS = 2_000  # of a text that is read as a number, a date or a time
LOOSE = re.compile(r"\s+(?=[,.;:!?%)\]}\-/'’–])|(?<=[(\[{\-/'’–])\s+")
"""Spaces that stand before or after punctuation to which the next word is joined."""
COMMA = re.compile(r"\s*,\s*(?!\d)|\s*,\s+|\s+,\s*")
"""Not one inside a number."""


def normalise(name: str, text: str) -> str | None:
    """The JSON text of the value, None where the text cannot be one. Raises InputError for an unknown name."""
    value: str | int | float | None = text
    for step in steps(name):
        if not isinstance(value, str):
            return None
        value = step(value)
    return None if value is None else msgspec.json.encode(value).decode()


@cache
def steps(name: str) -> tuple[Step, ...]:
    """What a normaliser does. Raises InputError for an unknown name."""
    return tuple(_step(part) for part in name.split("+"))


def _step(name: str) -> Step:
    kind, _, rest = name.partition(":")
    if name in _PLAIN:
        return _PLAIN[name]
    if kind in _NUMBERS and rest in ("", "comma"):
        return lambda text: _NUMBERS[kind](_number(text, rest == "comma"))
    if kind == "fixed" and rest.isdecimal() and int(rest) <= 12:
        return lambda text: _fixed(_number(text, False), int(rest))
    if kind == "date" and rest[:4] in ("dmy:", "mdy:", "ymd:"):
        return date_step(rest[:3], rest[4:])
    if kind == "time" and rest:
        return time_step(rest)
    raise InputError("no normaliser of this name", got=repr(name), allowed=", ".join((*_PLAIN, *_NUMBERS, "fixed:2")))


def _number(text: str, comma: bool) -> float | int | None:
    return read_number(text, comma=comma) if len(text) <= MAX_CHARS else None


def _as_integer(value: float | int | None) -> int | None:
    return int(value) if value is not None and value == int(value) else None


def _as_float(value: float | int | None) -> float | None:
    return None if value is None else float(value)


def _as_percent(value: float | int | None) -> float | None:
    return None if value is None else round(value / 100, 12)


def _fixed(value: float | int | None, decimals: int) -> str | None:
    return None if value is None else f"{value:.{decimals}f}"


def _spaces(text: str) -> str:
    return " ".join(text.split())


def _tight(text: str) -> str:
    return LOOSE.sub("", text).strip()


def _strip(text: str) -> str:
    begin, end = 0, len(text)
    while begin < end and not text[begin].isalnum():
        begin += 1
    while end > begin and not text[end - 1].isalnum():
        end -= 1
    return text[begin:end]


_PLAIN: dict[str, Step] = {
    "verbatim": lambda text: text,
    "spaces": _spaces,
    "nospace": lambda text: "".join(text.split()),
    "tight": _tight,
    "commas": lambda text: COMMA.sub(", ", text).strip(),
    "nfkc": partial(unicodedata.normalize, "NFKC"),
    "strip": _strip,
    "digits": lambda text: "".join(c for c in text if "0" <= c <= "9"),
    "alnum": lambda text: "".join(c for c in text if c.isalnum()),
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
}
_NUMBERS: dict[str, Callable[[float | int | None], int | float | None]] = {
    "integer": _as_integer,
    "number": lambda value: value,
    "float": _as_float,
    "percent": _as_percent,
}
