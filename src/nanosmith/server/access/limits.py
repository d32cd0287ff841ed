"""Limits of projects and keys: requests and tokens per minute, and stored bytes.

Rates are token buckets (https://en.wikipedia.org/wiki/Token_bucket): a bucket holds one minute's worth, and refills
steadily. They are in the memory of one server process: two processes over one ledger allow twice as much.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from nanosmith.core.limits import ProjectLimits
from nanosmith.server.http.errors import QuotaExceeded, RateLimited

if TYPE_CHECKING:
    from nanosmith.server.services import Services

Clock = Callable[[], float]


class Bucket:
    """`per_minute` at most, and at once. It may go below zero: what an answer costs is known when it is there."""

    def __init__(self, per_minute: int, clock: Clock = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._left = float(per_minute)
        self._at = clock()
        self._lock = threading.Lock()

    def take(self, n: int) -> float:
        """Take `n`, and return what is left then."""
        with self._lock:
            now = self._clock()
            self._left = min(self.per_minute, self._left + (now - self._at) * self.per_minute / 60) - n
            self._at = now
            return self._left

    def left(self) -> float:
        return self.take(0)

    def wait_s(self) -> float:
        """Seconds until one may be taken."""
        return max(0.0, (1 - self.left()) * 60 / self.per_minute)


class Meter:
    """The buckets of one project or key; None where it has no limit."""

    def __init__(self, limits: ProjectLimits, clock: Clock = time.monotonic) -> None:
        self.limits = limits
        self.requests = _bucket(limits.requests_per_minute, clock)
        self.tokens = _bucket(limits.tokens_per_minute, clock)

    def check(self) -> None:
        """Raises RateLimited unless one more request may begin."""
        for kind, bucket in (("requests", self.requests), ("tokens", self.tokens)):
            if bucket and (wait_s := bucket.wait_s()) > 0:
                raise RateLimited(
                    f"too many {kind} in a short time",
                    allowed=f"{bucket.per_minute} {kind} per minute",
                    remedy=f"Try again in {duration(wait_s)}.",
                    retry_after_s=max(1, math.ceil(wait_s)),
                )

    def enter(self) -> None:
        """Count a request."""
        if self.requests:
            self.requests.take(1)

    def spend(self, tokens: int) -> None:
        if self.tokens:
            self.tokens.take(tokens)


class Limiter:
    """All meters of this process, by whose they are ("project:ID", "key:ID")."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}

    def meters(self, limits: Iterable[tuple[str, ProjectLimits]]) -> tuple[Meter, ...]:
        """Those that limit anything; anew, and full, where a limit was changed."""
        return tuple(self._meter(whose, limit) for whose, limit in limits if limit.has_rate)

    def _meter(self, whose: str, limits: ProjectLimits) -> Meter:
        meter = self._meters.get(whose)
        if meter is None or meter.limits != limits:
            meter = self._meters[whose] = Meter(limits)
        return meter


def _bucket(per_minute: int | None, clock: Clock) -> Bucket | None:
    return None if per_minute is None else Bucket(per_minute, clock)


def admit(meters: Iterable[Meter]) -> None:
    """Count a request, or raise RateLimited; what is refused is not counted."""
    for meter in meters:
        meter.check()
    for meter in meters:
        meter.enter()


def rate_headers(meters: tuple[Meter, ...]) -> Iterator[tuple[str, str]]:
    """x-ratelimit-{limit,remaining,reset}-{requests,tokens}, of the bucket that has least left."""
    for kind in ("requests", "tokens"):
        buckets = [bucket for meter in meters if (bucket := getattr(meter, kind))]
        if not buckets:
            continue
        left, bucket = min([(one.left(), one) for one in buckets], key=itemgetter(0))
        yield f"x-ratelimit-limit-{kind}", str(bucket.per_minute)
        yield f"x-ratelimit-remaining-{kind}", str(max(0, math.floor(left)))
        yield f"x-ratelimit-reset-{kind}", duration((bucket.per_minute - left) * 60 / bucket.per_minute)


def duration(seconds: float) -> str:
    """As OpenAI writes it: "12ms", "8.64s", "6m0s"."""
    ms = math.ceil(seconds * 1000)
    if ms < 1000:
        return f"{ms}ms"
    if ms < 60_000:
        return f"{ms / 1000:g}s"
    return f"{ms // 60_000}m{math.ceil(ms % 60_000 / 1000)}s"


def check_storage(home: Services, extra_bytes: int) -> None:
    """Raises QuotaExceeded when the project's files would become larger than it may store."""
    row = home.ledger.project_row(home.ledger.project)
    allowed = msgspec.convert(row.limits, ProjectLimits).storage_bytes if row else None
    if allowed is None:
        return
    used = home.ledger.stored_bytes()
    if used + extra_bytes > allowed:
        raise QuotaExceeded(
            "the project's storage is used up",
            got=f"{used} bytes stored and {extra_bytes} more",
            allowed=f"{allowed} bytes",
            remedy="Delete files, or ask for a higher limit.",
        )
