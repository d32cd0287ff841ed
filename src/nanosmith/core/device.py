"""How long answers take on some device, by what a model is made of: what `nanosmith profile` writes there.

Times are sums of what the parts cost: a call, a layer, a multiplication. Letters: T tokens, D width, H heads, F columns
of the FFN.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from nanosmith.core.errors import InputError

FORMAT = 1
ENCODER, STATIC = "encoder", "static"


class Timed(msgspec.Struct, frozen=True):
    """One model that was timed: `costs` as in `encoder_costs` or `static_costs`; `ms` the median call."""

    kind: str
    costs: tuple[float, ...]
    ms: float


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`encoder_ms` and `static_ms` price the costs, in milliseconds each. `error` is the mean relative error, in
    [0, 1], on models that were left out of the fit, `worst` the largest."""

    name: str
    cores: int
    created_at: int
    nanosmith: str
    encoder_ms: tuple[float, ...]
    static_ms: tuple[float, ...]
    error: float
    worst: float
    times: tuple[Timed, ...] = ()
    format: int = FORMAT

    def encoder(self, layers: int, heads: int, columns: int, width: int, head_width: int, tokens: float) -> float:
        """Milliseconds of one answer."""
        return _sum(self.encoder_ms, encoder_costs(layers, heads, columns, width, head_width, tokens))

    def static(self, width: int, tokens: float) -> float:
        return _sum(self.static_ms, static_costs(width, tokens))


def encoder_costs(
    layers: int, heads: int, columns: int, width: int, head_width: int, tokens: float
) -> tuple[float, ...]:
    """A call, the tokens read, the layers, and millions of multiplications in linear layers and in attention."""
    inner = heads * head_width
    linear = layers * tokens * (4 * width * inner + 2 * width * columns) / 1e6
    return 1.0, tokens, float(layers), linear, layers * 2 * tokens * tokens * inner / 1e6


def static_costs(width: int, tokens: float) -> tuple[float, ...]:
    """A call, the tokens read, and thousands of values that are added up."""
    return 1.0, tokens, tokens * width / 1e3


def read_device(file: Path) -> Device:
    """Raises InputError."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Device)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError("this is no profile of a device", where=str(file), got=error, param="profile",
                         remedy="Write one there: nanosmith profile --out FILE.") from error  # fmt: skip
    if found.format != FORMAT or len(found.encoder_ms) != 5 or len(found.static_ms) != 3:
        raise InputError("the profile has another format", where=str(file), got=found.format, allowed=FORMAT,
                         param="profile", remedy="Write it again with this version.")  # fmt: skip
    return found


def _sum(prices: tuple[float, ...], costs: tuple[float, ...]) -> float:
    return sum(price * cost for price, cost in zip(prices, costs, strict=True))
