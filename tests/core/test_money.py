"""Money as whole nano-dollars."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.errors import InputError
from nanosmith.core.money import (
    NANO,
    Usage,
    cost_of,
    most_of,
    nano_of,
    parse_allowance,
    parse_usd,
    plain_usd,
    prices_of,
)

TOKENS = st.integers(0, 10**7)
USD = st.decimals(0, 1000, places=4)


@pytest.mark.parametrize(
    ("text", "nano", "period"),
    [
        ("20 USD / month", 20 * NANO, "month"),
        ("5 USD", 5 * NANO, None),
        ("$0.25/Hour", NANO // 4, "hour"),
        ("1.5 usd per day", 3 * NANO // 2, "day"),
        ("  7USD/week ", 7 * NANO, "week"),
        ("0 USD / day", 0, "day"),
        ("0.000000001 USD", 1, None),
    ],
)
def test_allowances(text: str, nano: int, period: str | None) -> None:
    """Amounts in dollars, with a period or once."""
    assert parse_allowance(text) == (nano, period)


@pytest.mark.parametrize(
    "text",
    ["", "20", "USD", "-5 USD", "5 EUR", "1,000 USD", "1e3 USD", "nan USD", "5 USD / year", "5 USD /", "5 USD month",
     "5 USD / month / day", "inf USD", "1000000001 USD", "５ USD x", "5 USD\nper\nfortnight"],
)  # fmt: skip
def test_what_is_no_allowance(text: str) -> None:
    """Anything else is refused, with what would do."""
    with pytest.raises(InputError, match=r"not a budget .*20 USD / month"):
        parse_allowance(text)


@given(st.integers(-(10**18), 10**18))
def test_plain_decimals(nano: int) -> None:
    """A shown amount is exact and has no exponent; those that are not negative are read back."""
    shown = plain_usd(nano)
    assert Fraction(shown) == Fraction(nano, NANO)
    assert "e" not in shown.lower()
    assert nano < 0 or nano > 10**18 or parse_usd(f"{shown} USD") == nano


def test_dollars_as_they_are_written() -> None:
    """0.1 is a tenth, whatever it is in binary; what is below a nano-dollar is rounded up."""
    assert [nano_of(0.1), nano_of("0.0375"), nano_of(1e-10), nano_of(3)] == [10**8, 37_500_000, 1, 3 * NANO]


@given(TOKENS, TOKENS, TOKENS, TOKENS, USD, USD, st.none() | USD, st.none() | USD)
def test_costs_are_rounded_up(
    plain: int, cached: int, written: int, output: int, input_usd: object, output_usd: object, cached_usd: object,
    write_usd: object,
) -> None:  # fmt: skip
    """A cost is the exact sum, rounded up to a nano-dollar, and never above the most for so many tokens."""
    prices = prices_of(*map(str, (input_usd, output_usd)), *(u and str(u) for u in (cached_usd, write_usd)))  # type: ignore[arg-type]
    usage = Usage(plain + cached + written, output, cached, written)
    rates = [prices.input if rate is None else rate for rate in (prices.cached_input, prices.cache_write)]
    exact = Fraction(
        plain * prices.input + cached * rates[0] + written * rates[1] + output * prices.output, 10**6
    )  # fmt: skip
    assert exact <= cost_of(usage, prices) < exact + 1
    assert cost_of(usage, prices) <= most_of(usage.input, output, prices)


def test_a_cost_by_hand() -> None:
    """1,000 tokens of input at 0.25 USD per million, of which 400 are cached at a tenth, and 100 of output at 2 USD."""
    prices = prices_of(0.25, 2.0, 0.025)
    assert plain_usd(cost_of(Usage(1000, 100, cached=400), prices)) == "0.00036"


def test_a_provider_that_counts_more_cached_than_read() -> None:
    """Wrong counts of a provider give no negative cost."""
    assert cost_of(Usage(10, 0, cached=50), prices_of(1.0, 1.0, 0.0)) == 0
