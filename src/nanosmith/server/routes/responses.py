"""Responses of routes: what a step replied, as an output message or function calls, at once or as a stream."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from nanosmith.core.errors import InputError
from nanosmith.core.route import Route
from nanosmith.core.structs import to_struct, without_none
from nanosmith.predict.endpoint.dialects.dialect import count
from nanosmith.server.chat.request import IGNORED_HEADER, ChatRequest, StreamOptions
from nanosmith.server.http.connection import while_connected
from nanosmith.server.http.event_stream import EventStream
from nanosmith.server.http.idempotency import once
from nanosmith.server.http.wire import json_response
from nanosmith.server.models.turns import remarks
from nanosmith.server.responses import kept
from nanosmith.server.responses import responses as model_responses
from nanosmith.server.responses.generate import IGNORED, as_chat, own_names
from nanosmith.server.responses.items import PREFIXES, answer_item
from nanosmith.server.responses.request import ResponseRequest, check_common, idle_names
from nanosmith.server.responses.responses import response_object
from nanosmith.server.responses.stream import (
    Sent,
    added_events,
    begun_events,
    delta_event,
    done_events,
    ended_event,
    server_sent,
    stream_events,
)
from nanosmith.server.responses.stream import said as told
from nanosmith.server.routes.answering import answered, ask_of, headers_of, printable, tell
from nanosmith.server.routes.ask import Ask, LabelReply, StreamReply, TextReply
from nanosmith.server.routes.chat import said, total_tokens, within
from nanosmith.server.routes.growing import Grown
from nanosmith.server.routes.rules import check_caller
from nanosmith.server.routes.run import Done
from nanosmith.server.services import services
from nanosmith.server.watch.tally import count_cost, count_tokens
from nanosmith.store.ledger import new_id

ENDS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons for which a response is not whole, in the words of a chat completion and of a response."""
Keep: TypeAlias = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def create(request: Request, given: dict[str, Any], route: Route) -> Response:
    asked = to_struct(given, ResponseRequest)
    check_common(asked)
    home, sent = services(request), once(request, given)
    made_from = await kept.conversation_of(home, asked)
    chat = as_chat(asked, made_from.items)
    if asked.stream:  # a response always has its usage
        chat = msgspec.structs.replace(chat, stream=True, stream_options=StreamOptions(include_usage=True))
    body = _body(chat, asked)
    ask = await ask_of(request, route, body, chat, streams=bool(asked.stream))
    if asked.truncation == "disabled":
        ask = msgspec.structs.replace(ask, uncut=True)
    with own_names():
        done = await while_connected(request, answered(ask))
    headers = headers_of(ask, done) | _idle(asked, given)

    async def keep(made: dict[str, Any]) -> dict[str, Any]:
        if asked.store is False:
            return made
        return await run_in_threadpool(kept.keep, home, kept.document(made, made_from), sent)

    if isinstance(done.reply, StreamReply):
        stream, sending = Stream(request, asked, ask, done, keep), Sent()
        events = sending.each(stream.events(done.reply))
        return EventStream(events, last=sending.stopping, end=stream.end, headers=headers)
    made = await keep(_made(request, asked, ask, done))
    if isinstance(done.reply, LabelReply):
        headers |= remarks(done.reply.answer.prediction)
    if asked.stream:
        headers["cache-control"] = "no-cache"
        return StreamingResponse(server_sent(stream_events(made)), headers=headers, media_type="text/event-stream")
    return json_response(made, headers=headers)


async def count_input_tokens(request: Request, given: dict[str, Any], route: Route) -> Response:
    """What the route's first local model would read: what a remote one would, its provider alone can tell."""
    here = services(request)
    check_caller(route, here.ledger.project)
    local = next((step.model for step in route.steps if not here.shared.routing.is_remote(step.model)), None)
    if local is None:
        raise InputError(
            "a remote model's provider alone can count what it reads", got=f"the route {route.name}", param="model",
            allowed="a local model, or a route with one", code="unsupported_model",
        )  # fmt: skip
    response = await model_responses.count_input_tokens(request, given | {"model": local})
    response.headers.update({"x-nanosmith-route": route.name, "x-nanosmith-step": printable(local)})
    return response


class Stream:
    """The events of one growing response. Text is told as it comes, calls when they are whole."""

    def __init__(self, request: Request, asked: ResponseRequest, ask: Ask, done: Done, keep: Keep) -> None:
        self._request = request
        self._ask = ask
        self._done = done
        self._keep = keep
        self._grown = Grown()
        self._begun = kept.begun(asked, new_id("resp_"), int(time.time()), done.step.model)

    def end(self) -> None:
        count_cost(self._request, self._done.reply.spent.known_cost)
        used = self._done.reply.spent.used
        count_tokens(self._request, used.input + used.output, model=self._done.step.model)

    async def events(self, reply: StreamReply) -> AsyncGenerator[dict[str, Any]]:
        for event in begun_events(self._begun):
            yield event
        message, at = answer_item("", []), dict[str, Any]()
        async with aclosing(within(self._ask, reply)) as chunks:
            async for chunk in chunks:
                self._grown.take(chunk)
                if new := _new_text(chunk):
                    if not at:
                        at = {"output_index": 0, "item_id": message["id"]}
                        for event in added_events(message | {"status": "in_progress"}, at):
                            yield event
                    yield delta_event(message, at, new, [])
        tell(self._ask, self._done, self._grown.content, streamed=True)
        for event in await self._ends(message["id"], at):
            yield event

    async def _ends(self, message_id: str, at: dict[str, Any]) -> list[dict[str, Any]]:
        """The last events: those of a message that was begun, of calls, of the response."""
        completion = self._grown.completion()
        items = _items(completion)
        if at:
            items[0]["id"] = message_id
        events: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            if at and index == 0:
                events += done_events(item, at)
                continue
            place = {"output_index": index, "item_id": item["id"]}
            events += added_events(item, place)
            events.append(delta_event(item, place, *told(item)))
            events += done_events(item, place)
        made = await self._keep(_ended(self._begun, items, completion))
        return [*events, ended_event(made)]


def _made(request: Request, asked: ResponseRequest, ask: Ask, done: Done) -> dict[str, Any]:
    """The response of a reply that is whole."""
    reply = done.reply
    count_cost(request, reply.spent.known_cost)
    if isinstance(reply, LabelReply):
        answer = msgspec.structs.replace(reply.answer, id=new_id("resp_"))
        count_tokens(request, answer.prediction.tokens + answer.written_tokens, model=done.step.model)
        tell(ask, done, answer.content, streamed=False)
        return response_object(asked, answer)
    assert isinstance(reply, TextReply)
    count_tokens(request, total_tokens(reply.completion), model=done.step.model)
    tell(ask, done, said(reply), streamed=False)
    begun = kept.begun(asked, new_id("resp_"), int(time.time()), done.step.model)
    return _ended(begun, _items(reply.completion), reply.completion)


def _items(completion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The first choice as items: its text, unless there is none beside calls, then its calls."""
    choice = completion["choices"][0]
    message, reason = choice["message"], choice.get("finish_reason")
    status = {"status": "incomplete" if reason == "length" else "completed"}
    calls, text = message.get("tool_calls") or [], message.get("content") or message.get("refusal") or ""
    tokens = (choice.get("logprobs") or {}).get("content") or []
    items = [answer_item(text, tokens) | status] if text or not calls else []
    return [*items, *(_call(call) | status for call in calls)]


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {
        "id": new_id(PREFIXES["function_call"]), "type": "function_call", "call_id": call["id"],
        "name": function["name"], "arguments": function["arguments"],
    }  # fmt: skip


def _ended(begun: dict[str, Any], items: list[dict[str, Any]], completion: Mapping[str, Any]) -> dict[str, Any]:
    made = kept.ended(begun, items, _usage(completion.get("usage") or {}))
    reason = ENDS.get(completion["choices"][0].get("finish_reason") or "")
    return made | {"status": "incomplete", "incomplete_details": {"reason": reason}} if reason else made


def _usage(given: Mapping[str, Any]) -> dict[str, Any]:
    read, written = count(given.get("prompt_tokens")), count(given.get("completion_tokens"))
    details, thought = given.get("prompt_tokens_details") or {}, given.get("completion_tokens_details") or {}
    return {
        "input_tokens": read, "output_tokens": written, "total_tokens": read + written,
        "input_tokens_details": {"cached_tokens": count(details.get("cached_tokens")), "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": count(thought.get("reasoning_tokens"))},
    }  # fmt: skip


def _new_text(chunk: Mapping[str, Any]) -> str:
    """Of the first choice."""
    return "".join(
        choice["delta"].get("content") or choice["delta"].get("refusal") or ""
        for choice in chunk["choices"] if not choice.get("index") and choice.get("delta")
    )  # fmt: skip


def _idle(asked: ResponseRequest, given: dict[str, Any]) -> dict[str, str]:
    """The header of parameters without effect."""
    idle = [name for name in idle_names(asked, given, IGNORED) if not (name == "reasoning" and _has_effort(asked))]
    return {IGNORED_HEADER: ", ".join(idle)} if idle else {}


def _has_effort(asked: ResponseRequest) -> bool:
    return asked.reasoning is not None and asked.reasoning.effort is not None


def _body(chat: ChatRequest, asked: ResponseRequest) -> dict[str, Any]:
    """As a chat completion, without what was not given."""
    body: dict[str, Any] = without_none(msgspec.to_builtins(chat))
    body["messages"] = _merged(body["messages"])
    if not body.get("tools"):
        body.pop("tools", None)
    if not chat.logprobs:
        body.pop("logprobs", None)
    if chat.response_format is not None and chat.response_format.type == "text":
        body.pop("response_format", None)
    if asked.reasoning is not None and asked.reasoning.effort is not None:
        body["reasoning_effort"] = asked.reasoning.effort
    if asked.parallel_tool_calls is not None and asked.tools:
        body["parallel_tool_calls"] = asked.parallel_tool_calls
    return body


def _merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls that were made at once stand in one message, as chat completions have them."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        if message.get("tool_calls") and merged and merged[-1].get("tool_calls"):
            merged[-1]["tool_calls"] += message["tool_calls"]
        else:
            merged.append(message)
    return merged
