"""The step before all others of a route with an autopilot: the model that it made, for all requests but those of the
lot, which go to the teacher whatever that model would have said."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from nanosmith.core.route import Step
from nanosmith.store.autopilots import Local, State, read_state
from nanosmith.store.ledger import Ledger

if TYPE_CHECKING:
    from nanosmith.server.routes.ask import Ask

FRESH_S = 1.0
SERVING, CANARY = 0.95, 0.1
"""Shares of the requests that the model may answer."""
FIRST = -1  # its tier


class Leads:
    """What the autopilots of all routes and projects have made; read again every FRESH_S."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[float, State]] = {}

    def of(self, ask: Ask) -> list[Step]:
        """The step that goes before the route's own; none where there is no model yet, or where the lot says so."""
        if not ask.route.autopilot:
            return []
        state = self._state(ask.home.ledger, ask.route.name)
        drawn = random.random()  # noqa: S311  # no secret
        local = next((one for one, share in _shares(state) if one is not None and drawn < share), None)
        return [] if local is None else [Step(model=local.model, tier=FIRST, accept=local.threshold)]

    def _state(self, ledger: Ledger, route: str) -> State:
        key, now = (ledger.project, route), time.monotonic()
        read_at, state = self._known.get(key, (-FRESH_S, State()))
        if now - read_at >= FRESH_S:
            state = read_state(ledger, route)
            self._known[key] = now, state
        return state


def _shares(state: State) -> tuple[tuple[Local | None, float], ...]:
    """A candidate takes its share of what an earlier model serves."""
    return (state.candidate if state.phase == "canary" else None, CANARY), (state.serving, SERVING)
