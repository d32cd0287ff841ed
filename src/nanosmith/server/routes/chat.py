"""Chat completions of routes: what a step replied, at once or as a stream, as any model's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from nanosmith.core.route import Route
from nanosmith.core.structs import to_struct
from nanosmith.server.chat import completions, generate
from nanosmith.server.chat.request import IGNORED_HEADER, ChatRequest, refused, turns
from nanosmith.server.chat.sampling import ignored
from nanosmith.server.chat.stored import completion_object, store, to_store
from nanosmith.server.http.connection import while_connected
from nanosmith.server.http.event_stream import EventStream
from nanosmith.server.http.idempotency import once
from nanosmith.server.routes.answering import answered, ask_of, headers_of, tell
from nanosmith.server.routes.ask import Ask, LabelReply, StreamReply, TextReply
from nanosmith.server.routes.errors import late
from nanosmith.server.routes.growing import Grown
from nanosmith.server.routes.run import Done
from nanosmith.server.services import services
from nanosmith.server.watch.tally import count_cost, count_tokens


async def create(request: Request, given: dict[str, Any], route: Route) -> Response:
    chat = to_struct(given, ChatRequest)
    if chat.top_logprobs is not None and not chat.logprobs:
        raise refused("top_logprobs", "it needs logprobs", "logprobs true")
    if chat.stream_options is not None and not chat.stream:
        raise refused("stream_options", "it needs a stream", "stream true")
    if chat.store:
        turns(chat)  # what cannot be stored is refused before it costs anything
    ask = await ask_of(request, route, given, chat, streams=bool(chat.stream))
    done = await while_connected(request, answered(ask))
    headers, reply = headers_of(ask, done), done.reply
    if isinstance(reply, StreamReply):
        return _streamed(request, ask, done, reply, headers | _idle(ask, done))
    count_cost(request, reply.spent.known_cost)
    if isinstance(reply, LabelReply):
        tell(ask, done, reply.answer.content, streamed=False)
        return await completions.respond(request, given, reply.answer, headers)
    tell(ask, done, said(reply), streamed=False)
    count_tokens(request, total_tokens(reply.completion), model=done.step.model)
    shown = await _kept(request, ask, reply.completion)
    return generate.at_once(shown, chat, headers | _idle(ask, done))


def said(reply: TextReply) -> str:
    """The text of the first choice."""
    return reply.completion["choices"][0]["message"].get("content") or ""


def total_tokens(completion: dict[str, Any]) -> int:
    total = (completion.get("usage") or {}).get("total_tokens")
    return total if isinstance(total, int) else 0


async def within(ask: Ask, reply: StreamReply) -> AsyncGenerator[dict[str, Any]]:
    """The chunks of a stream; the route's deadline holds for all of them. Raises DeadlineExceeded."""
    async with aclosing(reply.chunks()) as chunks:
        while True:
            try:
                async with asyncio.timeout_at(ask.until_s):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                raise late(ask.route.name, ask.until_s - ask.began_s, "the stream had begun") from None
            if chunk is None:
                return
            yield chunk


def _streamed(request: Request, ask: Ask, done: Done, reply: StreamReply, headers: dict[str, str]) -> Response:
    grown = Grown()

    async def chunks() -> AsyncGenerator[dict[str, Any]]:
        is_kept = not ask.chat.store
        async with aclosing(within(ask, reply)) as parts:
            async for chunk in parts:
                grown.take(chunk)
                if grown.has_ended and not is_kept:
                    is_kept = bool(await _kept(request, ask, grown.completion()))
                yield chunk
        tell(ask, done, grown.content, streamed=True)

    def end() -> None:
        used = reply.spent.used
        count_cost(request, reply.spent.known_cost)
        count_tokens(request, used.input + used.output, model=done.step.model)

    return EventStream(generate.sent(chunks()), last=generate.stopping, end=end, headers=headers)


async def _kept(request: Request, ask: Ask, completion: dict[str, Any]) -> dict[str, Any]:
    """The completion, stored where that was asked for; what an earlier sending of the same request stored, if any."""
    if not ask.chat.store:
        return completion
    body = dict(ask.body)
    row = to_store(completion | {"metadata": ask.chat.metadata or {}}, ask.chat, body, request)
    return completion_object(await run_in_threadpool(store, services(request), row, once(request, body)))


def _idle(ask: Ask, done: Done) -> dict[str, str]:
    """The header of parameters without effect: remote models get all of them."""
    if ask.home.shared.routing.is_remote(done.step.model):
        return {}
    idle = ignored(ask.chat, dict(ask.body))
    return {IGNORED_HEADER: ", ".join(idle)} if idle else {}
