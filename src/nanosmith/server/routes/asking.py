"""Where models are asked: a route's name goes to the route, any other to the model of that name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.route import Route as ModelRoute
from nanosmith.server.chat import completions
from nanosmith.server.decisions import decisions as model_decisions
from nanosmith.server.http.errors import ModelNotFound
from nanosmith.server.http.wire import read_json
from nanosmith.server.responses import responses as model_responses
from nanosmith.server.routes import chat, decisions, responses
from nanosmith.server.routes.routing import Routing
from nanosmith.server.services import services

ByRoute: TypeAlias = Callable[[Request, dict[str, Any], ModelRoute], Awaitable[Response]]
ByModel: TypeAlias = Callable[[Request, dict[str, Any]], Awaitable[Response]]


def _endpoint(by_route: ByRoute, by_model: ByModel) -> Callable[[Request], Awaitable[Response]]:
    async def create(request: Request) -> Response:
        given, routing = await read_json(request), services(request).shared.routing
        name = given.get("model")
        route = routing.find(name) if isinstance(name, str) else None
        if route is not None:
            return await by_route(request, given, route)
        try:
            return await by_model(request, given)
        except ModelNotFound as error:
            raise _explained(error, name, routing) from None

    return create


def _explained(error: ModelNotFound, name: object, routing: Routing) -> ModelNotFound:
    """What else the name could have meant."""
    if isinstance(name, str) and routing.is_remote(name):
        return ModelNotFound(
            f"The model `{name[:200]}` is a remote one, and this server does not offer it by its own name",
            param="model",
            remedy=f'Put it into a route, or write remote = ["{name[:200]}"] at the top of nanosmith.toml.',
        )  # fmt: skip
    if routing.problem is not None:
        return ModelNotFound(
            str(error), param="model", remedy="It may be a route: nanosmith.toml cannot be read; see nanosmith routes."
        )
    return error


routes = [
    Route("/chat/completions", _endpoint(chat.create, completions.create), methods=["POST"]),
    Route("/decisions", _endpoint(decisions.create, model_decisions.create), methods=["POST"]),
    Route("/responses", _endpoint(responses.create, model_responses.create), methods=["POST"]),
    Route(
        "/responses/input_tokens", _endpoint(responses.count_input_tokens, model_responses.count_input_tokens),
        methods=["POST"],
    ),
]  # fmt: skip
