"""A route that the server itself asks, for the rows of an eval and for graders: that is no traffic, so nobody is told
of it; what it costs counts as any call's."""

from __future__ import annotations

from typing import Any

import msgspec

from nanosmith.core.route import Route
from nanosmith.core.structs import without_none
from nanosmith.server.chat.request import ChatRequest
from nanosmith.server.routes.answering import answered, ask_from_here
from nanosmith.server.routes.ask import LabelReply, TextReply
from nanosmith.server.services import Services


async def reply_of(route: Route, asked: ChatRequest, here: Services, key: str) -> tuple[str, LabelReply | TextReply]:
    """The model that answered, and its answer. Raises NanosmithError."""
    body: dict[str, Any] = without_none(msgspec.to_builtins(asked))
    done = await answered(await ask_from_here(here, route, body, asked, key=key))
    assert isinstance(done.reply, LabelReply | TextReply)  # nothing is streamed
    return done.step.model, done.reply
