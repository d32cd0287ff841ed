"""GET /v1/routes: the routes of a project, and how their remote models are, as this server process sees it."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.route import Route as ModelRoute
from nanosmith.server.http.wire import json_response
from nanosmith.server.routes.routing import Routing
from nanosmith.server.services import services


def show(request: Request) -> Response:
    home = services(request)
    routing = home.shared.routing
    names = routing.offered(home.ledger.project)
    shown = [route_object(routing.routes[name], routing) for name in names]
    return json_response({"object": "list", "data": shown, "problem": routing.problem and str(routing.problem)})


def route_object(route: ModelRoute, routing: Routing) -> dict[str, Any]:
    """Its settings; of each step the health of its model, None for a local one, and the threshold that holds now."""
    steps = []
    for step in route.steps:
        health = routing.health.of(step.model).shown() if routing.is_remote(step.model) else None
        wanted = routing.threshold(route, step)
        steps.append(msgspec.to_builtins(step) | {"threshold": _finite(wanted), "health": health})
    shown: dict[str, Any] = msgspec.to_builtins(route)
    return shown | {"object": "route", "steps": steps}


def _finite(threshold: float | None) -> float | str | None:
    """JSON has no infinity: without a certificate nothing is enough."""
    return "none is enough" if threshold is not None and threshold > 1 else threshold


routes = [Route("/routes", show, methods=["GET"])]
