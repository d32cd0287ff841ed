"""Numbers as people read them."""

from __future__ import annotations

import pytest

from nanosmith.score.render import figures
from nanosmith.score.render.made import value_text


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (3.6123, "3.61"),
        (0.083123, "0.0831"),
        (1250.4, "1250"),
        (12.0, "12"),
        (0.0, "0"),
        (0.00000012345, "0.000000123"),
    ],
)
def test_significant(number: float, shown: str) -> None:
    """Three significant digits, never an exponent."""
    assert figures.significant(number) == shown


@pytest.mark.parametrize(
    ("bytes", "shown"), [(0, "0 B"), (999, "999 B"), (999_999, "1 MB"), (23_456_789, "23.5 MB"), (None, "–")]
)
def test_size(bytes: int | None, shown: str) -> None:
    """Decimal units, carried over where rounding would give 1000."""
    assert figures.size(bytes) == shown


@pytest.mark.parametrize(("usd", "shown"), [(1234.5, "$1,234.50"), (0.1, "$0.10"), (0.00432, "$0.0043"), (0.0, "$0")])
def test_dollars(usd: float, shown: str) -> None:
    """Cents where they tell enough, two significant digits below."""
    assert figures.dollars(usd) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(1.234, "1.23 s"), (312.4, "5 min 12 s"), (7380, "2 h 3 min")])
def test_duration(seconds: float, shown: str) -> None:
    """The two largest units."""
    assert figures.duration(seconds) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("training_s", 61.0, "1 min 1 s"),
        ("file_bytes", 2000, "2 kB"),
        ("p50_ms", 3.6123, "3.61 ms"),
        ("examples", 10003, "10,003"),
        ("loss", 0.123456789, "0.123457"),
        ("kept", True, "yes"),
        ("name", None, "–"),
        ("settings", {}, "–"),
        ("settings", {"batch_size": 32, "budget_s": 300.0}, "batch size 32, budget 5 min 0 s"),
        ("names", ["a", "b"], "a, b"),
    ],
)
def test_made_values(name: str, value: object, shown: str) -> None:
    """The ending of a name tells the unit; objects and lists stand on one line."""
    assert value_text(name, value) == shown
