"""Who is told of every answer of a route: shadow audits, the capture of traffic, money."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from nanosmith.core.example import Message
from nanosmith.core.route import Route
from nanosmith.core.task import Value

log = logging.getLogger("nanosmith.server")


class Tried(msgspec.Struct, frozen=True):
    """What became of one step: "answered", "below" its threshold, "out_of_scope", "unsure" (it has no confidence), or
    the kind of its failure. `latency_ms` from its first byte sent to its answer."""

    model: str
    outcome: str
    confidence: float | None = None
    latency_ms: float = 0.0


class RouteEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a route, by the `id` of the completion. `body` is the request as a chat completion, `messages` its
    turns; `value` is the label, the labels or the record (None for a text), `content` what the client was given. `cost`
    is in nano-dollars. `private`: it must not leave the machine, also not later."""

    id: str
    route: Route
    project: str
    body: Mapping[str, Any]
    messages: Sequence[Message]
    tried: Sequence[Tried]
    step: str
    content: str
    value: Value | None
    confidence: float | None
    cost: int
    latency_ms: float
    streamed: bool
    private: bool


class Observer(Protocol):
    def wants(self, route: Route) -> bool:
        """Whether it is to be told of the answers of a route; asked at each."""
        ...

    def answered(self, event: RouteEvent) -> None:
        """Called on the event loop after the answer is known: takes microseconds, and leaves work to others."""
        ...


class Observers:
    """All of one server. One that fails is logged, and disturbs neither the answer nor the others."""

    def __init__(self) -> None:
        self._all: list[Observer] = []

    def add(self, observer: Observer) -> None:
        self._all.append(observer)

    def want(self, route: Route) -> bool:
        """Whether anybody is to be told."""
        return any(observer.wants(route) for observer in self._all)

    def tell(self, event: RouteEvent) -> None:
        for observer in self._all:
            try:
                if observer.wants(event.route):
                    observer.answered(event)
            except Exception:
                log.exception("an observer of routes failed")
