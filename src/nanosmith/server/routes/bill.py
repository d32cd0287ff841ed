"""What the remote calls of one answer cost: the most is held before a call, what it was is settled after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from nanosmith.core.money import Prices, Usage, cost_of, most_of
from nanosmith.predict.endpoint.catalogue import Remote, RemoteModel
from nanosmith.predict.endpoint.dialects.dialect import Call
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.server.money.purse import Purse
from nanosmith.store.purse import Reservation

UNPAID = ("rate_limited", "refused", "unavailable")
"""Failures for which no provider sends a bill."""
OUTPUT_TOKENS = 128_000
"""The most that an answer may have where neither the request nor the catalogue bounds it."""
PART_TOKENS = 20_000
"""The most that a picture or a sound behind an address counts for."""
BOUNDS = ("max_completion_tokens", "max_tokens")


class Spent(msgspec.Struct):
    """Of one answer so far: `cost` in nano-dollars, which grows until its last byte, also by calls that failed or were
    left; `has_unknown`: of some calls it is not known; `used`: the tokens of a stream, once that has ended."""

    cost: int = 0
    has_unknown: bool = False
    used: Usage = Usage()

    @property
    def known_cost(self) -> int | None:
        return None if self.has_unknown else self.cost


class Bill:
    """One paid call, to be `held` while it is made and `paid` when it answered; what was settled stays so."""

    def __init__(
        self, purse: Purse, reservation: Reservation, prices: Prices | None, most: int | None, spent: Spent
    ) -> None:
        self._purse = purse
        self._reservation: Reservation | None = reservation
        self._prices = prices
        self._most = most
        self._spent = spent

    def paid(self, usage: Usage | None) -> None:
        """It answered; None: it did not tell its usage, so it counts as the most that it could cost."""
        if self._reservation is None:
            return
        cost = cost_of(usage, self._prices) if usage is not None and self._prices is not None else None
        self._purse.settle(self._reservation, usage, cost)
        counted = self._most if cost is None else cost
        self._spent.cost += counted or 0
        self._spent.has_unknown |= counted is None
        self._reservation = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Around the call: one that failed at no charge is released; of one that was left nobody knows the cost."""
        try:
            yield
        except EndpointError as error:
            if error.kind in UNPAID and self._reservation is not None:
                self._purse.release(self._reservation)
                self._reservation = None
            raise
        finally:
            self.paid(None)


async def opened(
    purse: Purse, remote: Remote, call: Call, spent: Spent, *, project: str, key: str | None, route: str
) -> Bill:
    """Raises OverBudget, and NoPrice where a budget applies to a model without a price."""
    prices = remote.model.prices
    most = None if prices is None else most_of(*most_tokens(remote.model, call.body), prices)
    reservation = await purse.reserve(
        project=project, key=key, route=route, provider=remote.provider.name, model=remote.model.name, most=most
    )
    return Bill(purse, reservation, prices, most, spent)


def most_tokens(model: RemoteModel, body: Mapping[str, Any]) -> tuple[int, int]:
    """The most that a request may read and write: no text has more tokens than bytes."""
    parts = sum(
        1 for message in body.get("messages", ()) if isinstance(message.get("content"), list)
        for part in message["content"] if isinstance(part, dict) and part.get("type") != "text"
    )  # fmt: skip
    bound = next((body[name] for name in BOUNDS if isinstance(body.get(name), int)), None)
    output = bound or model.output_tokens or OUTPUT_TOKENS
    return len(msgspec.json.encode(body)) + parts * PART_TOKENS, output * int(body.get("n") or 1)
