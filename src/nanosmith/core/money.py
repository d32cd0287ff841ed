"""Money as whole numbers of nano-dollars (10⁻⁹ USD), so that sums are exact and budgets hold to the last unit."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from nanosmith.core.errors import InputError

Period: TypeAlias = Literal["hour", "day", "week", "month"]
NANO = 10**9
"""Nano-dollars of a dollar."""
PER_TOKENS = 10**6
"""Prices are of so many tokens."""
MAX_USD = 10**9
"""An amount above this is a slip of the pen; sums of nano-dollars stay far within 64 bits."""
MOST_TOKENS = 10**9
"""Of one call; a provider that tells more is wrong."""
MOST_COST = 10**6 * NANO
"""The same."""
SUM = re.compile(r"(?:USD|\$)?\s*(\d+(?:\.\d+)?)\s*(?:USD|\$)?", re.IGNORECASE)
ALLOWANCE = re.compile(r"(?P<sum>[^/]*?)\s*(?:(?:/|\bper\b)\s*(?P<period>hour|day|week|month)\s*)?", re.IGNORECASE)
EXAMPLES = '"20 USD / month", "0.50 USD / hour" or "5 USD"; hour, day, week or month'


class Prices(msgspec.Struct, frozen=True):
    """Nano-dollars per million tokens. Without a price of its own, cached or newly cached input costs what
    input does."""

    input: int
    output: int
    cached_input: int | None = None
    cache_write: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one call. `cached` (read from the provider's cache) and `cache_written` are parts of `input`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_written: int = 0


@lru_cache(1024)
def prices_of(
    input_usd: float, output_usd: float, cached_input_usd: float | None = None, cache_write_usd: float | None = None
) -> Prices:
    """From US dollars per million tokens, as providers tell them."""
    cached, written = (None if usd is None else nano_of(usd) for usd in (cached_input_usd, cache_write_usd))
    return Prices(nano_of(input_usd), nano_of(output_usd), cached, written)


def nano_of(usd: float | str | Decimal) -> int:
    """Dollars as people write them, so 0.1 is a tenth; what is below a nano-dollar is rounded up."""
    return int((Decimal(str(usd)) * NANO).to_integral_value(ROUND_CEILING))


def cost_of(usage: Usage, prices: Prices) -> int:
    """What a call cost, in nano-dollars, rounded up."""
    cached = prices.input if prices.cached_input is None else prices.cached_input
    written = prices.input if prices.cache_write is None else prices.cache_write
    plain = max(0, usage.input - usage.cached - usage.cache_written)
    total = plain * prices.input + usage.cached * cached + usage.cache_written * written + usage.output * prices.output
    return -(-total // PER_TOKENS)


def most_of(input_tokens: int, output_tokens: int, prices: Prices) -> int:
    """The most that a call of at most so many tokens can cost, whatever of its input is cached."""
    dearest = max(prices.input, prices.cached_input or 0, prices.cache_write or 0)
    return -(-(input_tokens * dearest + output_tokens * prices.output) // PER_TOKENS)


def parse_usd(text: str) -> int:
    """Nano-dollars in "5 USD", "$5" or "0.25 USD". Raises InputError."""
    found = SUM.fullmatch(text.strip())
    if found is None or found[1] == text.strip() or Decimal(found[1]) > MAX_USD:
        raise InputError("not an amount of money", got=repr(text), allowed=f'such as "5 USD", up to {MAX_USD:,} USD')
    return nano_of(found[1])


def parse_allowance(text: str) -> tuple[int, Period | None]:
    """Nano-dollars, and what they are for, in "20 USD / month"; without a period they are given once. Raises
    InputError."""
    found = ALLOWANCE.fullmatch(text.strip())
    if found is None:
        raise InputError("not a budget", got=repr(text), allowed=EXAMPLES)
    period = found["period"]
    try:
        return parse_usd(found["sum"]), msgspec.convert(period and period.lower(), Period | None)
    except InputError:
        raise InputError("not a budget", got=repr(text), allowed=EXAMPLES) from None


def plain_usd(nano: int) -> str:
    """ "0.000125": dollars as a plain decimal without an exponent, exact."""
    sign, (whole, rest) = "-" if nano < 0 else "", divmod(abs(nano), NANO)
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".")


def shown_usd(nano: int) -> str:
    """ "0.000125 USD", for messages."""
    return f"{plain_usd(nano)} USD"
