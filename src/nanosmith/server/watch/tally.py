"""What becomes known of a request while it is answered, for the log, the metrics, the traces and the limits."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.routing import Route

if TYPE_CHECKING:
    from nanosmith.server.access.limits import Meter

TALLY = "nanosmith.tally"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NO_ROUTE = "none"
OTHER_METHOD = "OTHER"


class Tally(msgspec.Struct):
    """Of one request. `status` is 0 until the response begins; `key` is the key's id; `meters` are those of its
    limits; `cost` is that of remote models in nano-dollars, None where none was asked or it is not known."""

    id: str
    status: int = 0
    project: str | None = None
    key: str | None = None
    model: str | None = None
    tokens: int = 0
    predictions: int = 0
    meters: tuple[Meter, ...] = ()
    cost: int | None = None


def tally_of(scope: MutableMapping[str, Any]) -> Tally:
    found: Tally = scope.setdefault(TALLY, Tally(""))
    return found


def count_tokens(request: Request, tokens: int, *, model: str, predictions: int = 1) -> None:
    """Endpoints that answer with a model report here what they used, before their response begins."""
    tally = tally_of(request.scope)
    tally.model = model
    tally.tokens += tokens
    tally.predictions += predictions
    for meter in tally.meters:
        meter.spend(tokens)


def count_cost(request: Request, cost: int | None) -> None:
    """What a route's remote models took, in nano-dollars (None: nobody knows). Reported before the response begins, it
    is in a header."""
    if cost is not None:
        tally = tally_of(request.scope)
        tally.cost = (tally.cost or 0) + cost


def route_of(scope: MutableMapping[str, Any]) -> str:
    """The template of the route that took the request, such as "/v1/files/{id}"; never the path itself, which could
    have any value."""
    route = scope.get("route")
    return str(scope.get("root_path", "")) + route.path if isinstance(route, Route) else NO_ROUTE


def method_of(scope: MutableMapping[str, Any]) -> str:
    method = str(scope["method"])
    return method if method in METHODS else OTHER_METHOD
