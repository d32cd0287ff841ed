"""What a route is asked, whichever endpoint it came to, and the three forms in which a step replies."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

import msgspec

from nanosmith.core.route import Route
from nanosmith.server.chat.completions import Answer
from nanosmith.server.chat.request import ChatRequest
from nanosmith.server.routes.bill import Spent
from nanosmith.server.services import Services


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `body` is the chat completion as it came, `chat` the same, read; `private`: it must not leave the
    machine. `until_s` is the end of its time, on the event loop's clock. `labels_only`: only a prediction over labels
    is an answer. `streams`: the client reads while the answer grows. `uncut`: what a model does not read to its end it
    must not answer."""

    route: Route
    home: Services
    body: Mapping[str, Any]
    chat: ChatRequest
    key: str
    private: bool
    began_s: float
    until_s: float
    streams: bool = False
    labels_only: bool = False
    uncut: bool = False

    @property
    def project(self) -> str:
        return self.home.ledger.project


class LabelReply(msgspec.Struct, frozen=True):
    """A label, a set of labels or a record, of a local model, or of a remote one that was asked for a label."""

    answer: Answer
    spent: Spent
    confidence: float | None

    @property
    def out_of_scope(self) -> bool:
        return self.answer.prediction.refused

    async def close(self) -> None:
        """Nothing is open."""


class TextReply(msgspec.Struct, frozen=True):
    """A whole chat.completion object."""

    completion: dict[str, Any]
    spent: Spent
    confidence: float | None = None
    out_of_scope: bool = False

    async def close(self) -> None:
        """Nothing is open."""


class StreamReply(msgspec.Struct, frozen=True):
    """chat.completion.chunk objects: the `first` ones, up to the first with content, and the rest as it grows. Whoever
    has one closes it."""

    first: list[dict[str, Any]]
    rest: AsyncGenerator[dict[str, Any]]
    spent: Spent
    confidence: float | None = None
    out_of_scope: bool = False

    async def chunks(self) -> AsyncGenerator[dict[str, Any]]:
        """Raises what goes wrong in the middle."""
        async with aclosing(self.rest):
            for chunk in self.first:
                yield chunk
            async for chunk in self.rest:
                yield chunk

    async def close(self) -> None:
        await self.rest.aclose()


Reply: TypeAlias = LabelReply | TextReply | StreamReply
