"""What goes wrong, how often, and drawn from a seed.

429[:s]     too many requests, with `retry-after: s` (1)
429-bare    the same without retry-after
500 … 599   that status
reset       the connection is reset instead of an answer
half        the answer ends in its middle: a stream cleanly, but without [DONE]
garbage     bytes that are no answer
wrong       an answer that is none of the labels
drip[:s]    the answer comes in pieces with pauses of s (0.05)
hang[:s]    no answer for s (3600)
latency[:s] s (0.05) before everything else, whatever else happens
"""

from __future__ import annotations

import random
from typing import NamedTuple

from nanosmith.core.errors import InputError

ARGUMENTS = {"429": 1.0, "drip": 0.05, "hang": 3_600.0, "latency": 0.05}
KINDS = ("429", "429-bare", "reset", "half", "garbage", "wrong", "drip", "hang", "latency")


class Fault(NamedTuple):
    """`seconds` means what the module says; `rate` is the share of requests, in [0, 1]."""

    kind: str
    rate: float
    seconds: float


class Drawn(NamedTuple):
    """What happens to one request: one fault or None, after `latency_s`."""

    fault: Fault | None
    latency_s: float


class Faults:
    """Draws what happens to each request, by its number: the same seed gives the same faults in the same order."""

    def __init__(self, faults: tuple[Fault, ...] = (), seed: int = 0) -> None:
        self._faults = faults
        self._seed = seed

    def draw(self, number: int) -> Drawn:
        if not self._faults:
            return Drawn(None, 0.0)
        chance = random.Random(f"{self._seed}:{number}")  # noqa: S311  # a test's faults
        latency_s = sum(
            fault.seconds for fault in self._faults if fault.kind == "latency" and chance.random() < fault.rate
        )
        place = chance.random()
        for fault in self._faults:
            if fault.kind != "latency":
                place -= fault.rate
                if place < 0:
                    return Drawn(fault, latency_s)
        return Drawn(None, latency_s)


def parse_faults(text: str) -> tuple[Fault, ...]:
    """ "429=0.3:0.1,half=0.05": kinds, their rates, and seconds for those that take some. Raises InputError."""
    faults = tuple(_fault(part.strip()) for part in text.split(",") if part.strip())
    total = sum(fault.rate for fault in faults if fault.kind != "latency")
    if total > 1 + 1e-9:
        raise InputError("the rates of the faults exceed 1", got=f"{total:g}")
    return faults


def _fault(part: str) -> Fault:
    kind, _, rest = part.partition("=")
    rate, _, seconds = rest.partition(":")
    known = kind in KINDS or (kind.isdecimal() and 500 <= int(kind) <= 599)
    try:
        fault = Fault(kind, float(rate or 1), float(seconds or ARGUMENTS.get(kind, 0)))
    except ValueError:
        known, fault = False, Fault(kind, 0, 0)
    if not known or not 0 <= fault.rate <= 1 or fault.seconds < 0:
        raise InputError("not a fault", got=repr(part), allowed=f"KIND=RATE[:SECONDS] of {', '.join(KINDS)}, 500 … 599")
    return fault
