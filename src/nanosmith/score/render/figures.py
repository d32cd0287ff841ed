"""Numbers as people read them, the same in text and HTML."""

from __future__ import annotations

import time

from nanosmith.core.task import Value
from nanosmith.score.intervals import Interval

NONE = "–"
BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def percent(share: float, digits: int = 2) -> str:
    """0.94164 → "94.16 %"."""
    return f"{100 * share:.{digits}f} %"


def interval(bounds: Interval) -> str:
    """(0.9327, 0.9494) → "93.27 – 94.94 %"."""
    return f"{100 * bounds[0]:.2f} – {100 * bounds[1]:.2f} %"


def milliseconds(ms: float) -> str:
    """Three significant digits: "3.61 ms", "0.0831 ms", "1250 ms"."""
    return f"{significant(ms)} ms"


def size(bytes: int | None) -> str:
    """Decimal units with three significant digits: "23.4 MB"."""
    if bytes is None:
        return NONE
    value, unit = float(bytes), 0
    while value >= 999.5 and unit < len(BYTE_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{significant(value)} {BYTE_UNITS[unit]}"


def dollars(usd: float) -> str:
    """ "$1.90", and smaller amounts with two significant digits: "$0.0043"."""
    return f"${usd:,.2f}" if usd >= 0.1 else f"${_plain(usd, 2)}"


def duration(seconds: float) -> str:
    """ "41 s", "5 min 12 s", "2 h 3 min"."""
    if seconds < 60:
        return f"{significant(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def significant(number: float) -> str:
    """Three significant digits, without an exponent."""
    return _plain(number, 3)


def answer(value: Value | None) -> str:
    """One label as it is, several joined by commas, none as a dash."""
    if value is None:
        return NONE
    return value if isinstance(value, str) else ", ".join(value) or NONE


def day(created_at: int) -> str:
    """Unix seconds as a date and minute in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(created_at))


def _plain(number: float, digits: int) -> str:
    """So many significant digits; integers above that stay whole."""
    text = f"{float(f'{number:.{digits}g}'):.12f}".rstrip("0").rstrip(".")
    return f"{number:.0f}" if abs(number) >= 10**digits else text
