"""Decisions of routes: each question is matched to the labels of the route's first local model that has any."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from nanosmith.core.example import Input, as_messages
from nanosmith.core.prediction import Prediction
from nanosmith.core.route import Route
from nanosmith.core.structs import to_struct
from nanosmith.server.chat.request import ChatMessage, ChatRequest
from nanosmith.server.decisions.decisions import decide
from nanosmith.server.decisions.request import DecisionRequest
from nanosmith.server.http.connection import while_connected
from nanosmith.server.models.turns import remarks
from nanosmith.server.routes.answering import answered, ask_of, headers_of, labels_of, tell
from nanosmith.server.routes.ask import Ask, LabelReply
from nanosmith.server.routes.local import no_labels
from nanosmith.server.services import services
from nanosmith.server.watch.tally import count_cost


async def create(request: Request, given: dict[str, Any], route: Route) -> Response:
    asked = to_struct(given, DecisionRequest)
    model = await labels_of(route, services(request))
    if model is None:
        raise no_labels(f"the route {route.name}")

    async def predicted(read: Input) -> tuple[Prediction, dict[str, str]]:
        ask = await _ask(request, route, read)
        done = await while_connected(request, answered(ask))
        assert isinstance(done.reply, LabelReply)  # nothing else answers where labels are asked for
        tell(ask, done, done.reply.answer.content, streamed=False)
        count_cost(request, done.reply.spent.known_cost)
        prediction = done.reply.answer.prediction
        return prediction, headers_of(ask, done) | remarks(prediction)

    return await decide(request, asked, model, predicted)


async def _ask(request: Request, route: Route, read: Input) -> Ask:
    """The same as a chat completion."""
    turns = as_messages(read)
    body = {"model": route.name, "messages": [{"role": turn.role, "content": turn.content} for turn in turns]}
    chat = ChatRequest(route.name, [ChatMessage(turn.role, turn.content) for turn in turns])  # type: ignore[arg-type]  # checked when read
    return await ask_of(request, route, body, chat, labels_only=True)
