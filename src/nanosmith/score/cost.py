"""What a million requests cost: on this CPU, and with cloud models for the same number of tokens."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import msgspec

from nanosmith.core.errors import InputError

REQUESTS = 1_000_000
MS_PER_HOUR = 3_600_000
CHARS_PER_TOKEN = 4  # an estimate for the answer, whose tokens nobody counts here


class CoreHour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for one core for one hour; `assumed` marks a figure that nobody quoted."""

    usd: float
    assumed: bool = False


class ModelPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cloud model's US dollars per million tokens."""

    name: str
    input_usd: float
    output_usd: float
    cached_input_usd: float | None = None


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price table: `date` (year and month) and `source` say where `models` come from."""

    date: str
    source: str
    core_hour: CoreHour
    models: tuple[ModelPrice, ...] = ()


class CostRow(msgspec.Struct, frozen=True):
    """US dollars per million requests; `local` is the measured model on this CPU."""

    name: str
    usd: float
    local: bool = False


class Cost(msgspec.Struct, frozen=True):
    """A million requests of `input_tokens` (mean, counted by the model's tokenizer) and `output_tokens` (mean,
    estimated from characters) each, one row per way of answering. Our row is the mean latency on one busy core."""

    rows: tuple[CostRow, ...]
    input_tokens: float
    output_tokens: float
    core_hour: CoreHour
    prices_date: str
    source: str


def load_prices(path: Path | None = None) -> Prices:
    """The price table at `path`, else the one that comes with Nanosmith. Raises InputError."""
    try:
        content = path.read_bytes() if path else files("nanosmith.score").joinpath("prices.toml").read_bytes()
        return msgspec.convert(tomllib.loads(content.decode()), Prices)
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, not TOML, not of this form
        raise InputError(
            f"the price table cannot be read: {error}", where=str(path), remedy="See the form in docs/report.md."
        ) from error


def compare(name: str, mean_ms: float, input_tokens: float, output_tokens: float, prices: Prices) -> Cost:
    """Rows for `name` on one core of this CPU and for every cloud model, each also with all input cached."""
    local = CostRow(name, REQUESTS * mean_ms / MS_PER_HOUR * prices.core_hour.usd, local=True)
    cloud = []
    for model in prices.models:
        cloud.append(CostRow(model.name, input_tokens * model.input_usd + output_tokens * model.output_usd))
        if model.cached_input_usd is not None:
            usd = input_tokens * model.cached_input_usd + output_tokens * model.output_usd
            cloud.append(CostRow(f"{model.name}, all input cached", usd))
    return Cost((local, *cloud), input_tokens, output_tokens, prices.core_hour, prices.date, prices.source)


def estimated_tokens(answer: str) -> int:
    """About how many tokens a cloud model would write for this answer: one per four characters, at least one."""
    return max(1, -(-len(answer) // CHARS_PER_TOKEN))
