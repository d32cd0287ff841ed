"""Which normaliser makes a field's values of what stands in the texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import msgspec

from nanosmith.core.dates import read_date, read_time, written_date, written_time
from nanosmith.core.normal import normalise
from nanosmith.data.record.locate import Text, is_read

TRIED = 400  # values that are tried
MOSTLY = 0.8  # share of the values that must have a form, so that it is tried
WORTH = 0.01  # share of the values that a later normaliser must explain more than an earlier one
COPIES = (
    "verbatim", "spaces", "spaces+commas", "spaces+tight", "spaces+strip", "spaces+lower", "spaces+upper",
    "spaces+title", "nospace", "nospace+upper", "nospace+lower", "spaces+tight+upper", "spaces+tight+lower", "digits",
    "alnum", "alnum+upper", "spaces+nfkc",
)  # fmt: skip
NUMBERS = (
    "integer", "number", "float", "integer:comma", "number:comma", "float:comma", "percent", "percent:comma",
)  # fmt: skip
DATE_FORMATS = (
    "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d/%m/%y", "%m/%d/%y",
    "%-d.%-m.%Y", "%-d/%-m/%Y", "%-m/%-d/%Y", "%d %B %Y", "%-d %B %Y", "%B %-d, %Y", "%B %d, %Y", "%d %b %Y",
    "%-d %b %Y", "%b %-d, %Y", "%b %d, %Y", "%d-%b-%Y", "%Y%m%d", "%m-%d", "%d/%m", "%-d %B", "%B %-d",
)  # fmt: skip
TIME_FORMATS = (
    "%H:%M", "%H:%M:%S", "%-H:%M", "%I:%M %p", "%-I:%M %p", "%I:%M%p", "%-I:%M%p", "%-I %p", "%-I%p", "%H%M",
)  # fmt: skip
ORDERS = ("dmy", "mdy", "ymd")
Found: TypeAlias = "list[tuple[str, set[str]]]"


class Fit(msgspec.Struct, frozen=True):
    """Of the tried values: the share that `normal` makes of a place in the text, and the share that stands there at
    all, if not in the same way."""

    normal: str
    explained: float
    located: float


def best_normal(values: Sequence[Any], texts: Sequence[Text]) -> Fit:
    """The normaliser that explains most values (decoded scalars), each with its text; the simplest of equally good
    ones."""
    step = max(1, len(values) // TRIED)
    pairs = list(zip(values[::step], texts[::step]))
    tried = [value for value, _ in pairs]
    best = Fit("verbatim", 0.0, 0.0)
    if all(isinstance(value, str) for value in tried):
        best = _better(best, COPIES, pairs)
        if (name := _fixed(tried)) and (fit := _fit(name, _found(name, pairs))).explained >= best.explained:
            return fit
    return best if best.explained == 1.0 else _better(best, _readings(tried), pairs)


def _better(best: Fit, names: Iterable[str], pairs: Sequence[tuple[Any, Text]]) -> Fit:
    """The best of these names, or the one that is the best so far."""
    found: Found = []
    for name in names:
        if is_read(name) or not found:
            found = _found(name, pairs)
        fit = _fit(name, found)
        if fit.explained > best.explained + (WORTH if best.explained else 0.0):
            best = fit
        if best.explained == 1.0:
            break
    return best if best.explained or not found else _fit(best.normal, found)


def _found(name: str, pairs: Sequence[tuple[Any, Text]]) -> Found:
    """For each value its JSON text, and the different texts at its places."""
    return [
        (msgspec.json.encode(value).decode(), {text.text[slice(*place)] for place in text.places(value, name)})
        for value, text in pairs
    ]


def explains(normal: str, value: Any, text: str) -> bool:
    """Whether the normaliser makes this value of this text."""
    return normalise(normal, text) == msgspec.json.encode(value).decode()


def _fit(name: str, found: Found) -> Fit:
    explained = sum(any(normalise(name, text) == value for text in texts) for value, texts in found)
    return Fit(name, explained / len(found), sum(bool(texts) for _, texts in found) / len(found))


def _fixed(values: Sequence[str]) -> str | None:
    """The normaliser of texts that mostly are numbers with so many decimals."""
    decimals = Counter(len(match[1]) for value in values if (match := re.fullmatch(r"-?\d+\.(\d{1,6})", value)))
    if not decimals or decimals.total() < MOSTLY * len(values):
        return None
    return f"fixed:{decimals.most_common(1)[0][0]}"


def _readings(values: Sequence[Any]) -> Iterator[str]:
    if not all(isinstance(value, str) for value in values):
        yield from NUMBERS
        return
    for form in DATE_FORMATS:
        if _mostly(values, partial(_is_date, form)):
            yield from (f"date:{order}:{form}" for order in ORDERS)
    for form in TIME_FORMATS:
        if _mostly(values, partial(_is_time, form)):
            yield f"time:{form}"


def _mostly(values: Sequence[str], test: Callable[[str], bool]) -> bool:
    return any(map(test, values[:5])) and sum(map(test, values)) >= MOSTLY * len(values)


def _is_date(form: str, value: str) -> bool:
    order = "".join(c.lower() for c in re.sub(r"%-?([dmbBYy])", lambda m: m[1][0], form) if c in "dmbBYy")
    order = order.replace("b", "m")
    found = read_date(value, order if order in ORDERS else "dmy")  # type: ignore[arg-type]
    return found is not None and written_date(found, form) == value


def _is_time(form: str, value: str) -> bool:
    found = read_time(value)
    return found is not None and written_time(found, form) == value
