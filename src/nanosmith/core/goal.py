"""What a smaller model must hold: latency, bytes, and the accuracy that it may lose; and how a size is written."""

from __future__ import annotations

import math
import re

import msgspec

from nanosmith.core.errors import InputError

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class Goal(msgspec.Struct, frozen=True):
    """Upper bounds; None: any. `latency_ms` of the median call with one text; `bytes` of the bundle's folder;
    `loss_points`: percentage points of accuracy below the teacher."""

    latency_ms: float | None = None
    bytes: int | None = None
    loss_points: float | None = None

    def __post_init__(self) -> None:
        """Raises InputError where a bound is none."""
        for name in ("latency_ms", "bytes"):
            _check(name, getattr(self, name), least=math.ulp(0.0))
        _check("loss_points", self.loss_points, least=0.0)


def _check(name: str, value: float | None, least: float) -> None:
    if value is not None and not least <= value < math.inf:
        raise InputError("not a bound", got=value, allowed="a number above zero" if least else "0 and more",
                         param=f"max_{name.split('_')[0]}")  # fmt: skip


def parse_bytes(text: str) -> int:
    """Bytes in "8MB", "800 kB", "2MiB" or a plain number of bytes. Raises InputError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMG]i?B|B)?\s*", text)
    found = round(float(match[1]) * UNITS[(match[2] or "B").upper()]) if match else 0
    if found <= 0:
        raise InputError("not a size", got=repr(text), allowed="a number with B, kB, MB, GB, KiB, MiB or GiB",
                         remedy="Try --max-bytes 8MB.", param="max_bytes")  # fmt: skip
    return found
