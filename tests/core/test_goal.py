"""Bounds and sizes as users write them."""

from __future__ import annotations

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.goal import Goal, parse_bytes


@pytest.mark.parametrize(
    ("text", "expected"), [("8MB", 8_000_000), ("800 kB", 800_000), ("2MiB", 2_097_152), ("1.5GB", 1.5e9), ("77", 77)]
)
def test_sizes(text: str, expected: int) -> None:
    """Decimal and binary units, and plain numbers."""
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "0", "8 m", "-1MB", "8MB!", "nan", "0.0001 kB"])
def test_what_is_no_size(text: str) -> None:
    """Raises an error that names the option."""
    with pytest.raises(InputError, match="--max-bytes"):
        parse_bytes(text)


@pytest.mark.parametrize(
    "bounds", [{"latency_ms": 0.0}, {"bytes": -1}, {"loss_points": -0.1}, {"latency_ms": float("nan")}]
)
def test_impossible_bounds_are_refused(bounds: dict[str, float]) -> None:
    """A bound below what anything can hold is an error, not a search without result."""
    with pytest.raises(InputError, match="not a bound"):
        Goal(**bounds)  # type: ignore[arg-type]
