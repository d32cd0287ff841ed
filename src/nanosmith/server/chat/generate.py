"""Chat completions of text models: written token by token, sent as they grow or when they are whole."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeAlias, cast

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from nanosmith.core.errors import InputError, NanosmithError, TooLong
from nanosmith.core.generation import Generator
from nanosmith.data.completions import KIND
from nanosmith.server.chat.request import IGNORED_HEADER, ChatRequest
from nanosmith.server.chat.sampling import Plan, ignored, plan
from nanosmith.server.chat.stored import completion_object, store, to_store
from nanosmith.server.chat.tools import call_text
from nanosmith.server.chat.written import Choice, Deltas, Written, usage, whole
from nanosmith.server.http.connection import while_connected
from nanosmith.server.http.errors import error_body
from nanosmith.server.http.event_stream import STOPPING, EventStream
from nanosmith.server.http.idempotency import Once, once
from nanosmith.server.http.wire import json_response
from nanosmith.server.models.cache import OpenModel
from nanosmith.server.models.writing import Writing
from nanosmith.server.services import Services, services
from nanosmith.server.watch.middleware import log
from nanosmith.server.watch.tally import count_tokens
from nanosmith.store.ledger import new_id
from nanosmith.store.records import Document

Keep: TypeAlias = Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]
"""Stores a completion where that was asked for, and gives what is to be answered."""
DONE = b"data: [DONE]\n\n"


class Question(msgspec.Struct, frozen=True):
    """One request to a text model."""

    request: ChatRequest
    model: OpenModel
    plan: Plan
    id: str
    created: int


def is_writer(model: OpenModel) -> bool:
    return model.manifest.task.kind == "text"


async def create(request: Request, asked: ChatRequest, given: dict[str, Any], model: OpenModel) -> Response:
    question = question_to(model, asked)
    idle = ignored(asked, given)
    headers = {IGNORED_HEADER: ", ".join(idle)} if idle else {}
    sent = once(request, given)
    if asked.store:
        made = await run_in_threadpool(_made_before, services(request), sent)
        if made is not None:
            return at_once(completion_object(made), asked, headers)

    async def keep(shown: dict[str, Any]) -> dict[str, Any]:
        if not asked.store:
            return shown
        row = to_store(shown, asked, given, request)
        return completion_object(await run_in_threadpool(store, services(request), row, sent))

    answer = _streamed if asked.stream else _at_once
    return await answer(request, question, keep, headers)


def question_to(model: OpenModel, asked: ChatRequest) -> Question:
    """Raises InputError, TooLong."""
    return Question(asked, model, plan(asked), new_id("chatcmpl-"), int(time.time()))


def begin(question: Question) -> Writing:
    """Whoever calls this calls `leave`, too."""
    generator = cast(Generator, question.model.predictor)
    return Writing(question.model.desk.write(generator, question.plan.turns, question.plan.samplings))


async def begun(writing: Writing, question: Question) -> None:
    """Waits for the first piece. Raises TooLong, InputError, TooBusy, naming the parameter."""
    try:
        await writing.begun()
    except TooLong as error:
        error.param = error.param or "messages"
        raise
    except InputError as error:
        if error.param == "response_format" and question.request.response_format is None:
            error.param = "tools"  # the grammar is that of their calls
        raise


async def write(question: Question) -> Written:
    """All texts, whole. Raises TooLong, InputError, TooBusy."""
    written, writing = Written(question.plan), begin(question)
    try:
        await begun(writing, question)
        async for part in writing:
            written.add(part)
    finally:
        writing.leave()
    return written


def said(choice: Choice) -> str:
    """The text; of a call, its JSON."""
    return call_text(choice.call.name, choice.call.arguments) if choice.call and choice.is_call else choice.text


def completion(question: Question, written: Written) -> dict[str, Any]:
    asked = question.request
    choices = [whole(choice, with_logprobs=bool(asked.logprobs)) for choice in written.choices]
    shown = _head(question, "chat.completion") | {"choices": choices, "usage": usage(written)}
    return shown | {"metadata": asked.metadata or {}} if asked.store else shown


async def _at_once(request: Request, question: Question, keep: Keep, headers: dict[str, str]) -> Response:
    written = await while_connected(request, write(question))
    count_tokens(request, written.total_tokens, model=question.model.name)
    return json_response(await keep(completion(question, written)), headers=headers)


async def _streamed(request: Request, question: Question, keep: Keep, headers: dict[str, str]) -> Response:
    writing, written, end = await started(request, question)
    return EventStream(sent(chunks(question, writing, written, keep)), last=stopping, end=end, headers=headers)


async def started(request: Request, question: Question) -> tuple[Writing, Written, Callable[[], None]]:
    """A writing that gave its first piece, so that what goes wrong before it has a status of its own; where to add its
    pieces; and what ends it, to be called once. Raises TooLong, InputError, TooBusy."""
    writing, written = begin(question), Written(question.plan)
    try:
        await while_connected(request, begun(writing, question))
    except BaseException:
        writing.leave()
        raise

    def end() -> None:
        writing.leave()
        count_tokens(request, written.total_tokens, model=question.model.name)

    return writing, written, end


async def chunks(question: Question, writing: Writing, written: Written, keep: Keep) -> AsyncGenerator[dict[str, Any]]:
    """As the texts grow; then the usage of all, when asked for. The completion is kept before its end is told."""
    options = question.request.stream_options
    with_usage = bool(options and options.include_usage)
    head = _head(question, "chat.completion.chunk")
    tail = {"usage": None} if with_usage else {}
    deltas = Deltas(written, logprobs=bool(question.request.logprobs))
    async for part in writing:
        choices = list(deltas.of(part))
        if written.has_ended and question.request.store:
            await keep(completion(question, written))
        for choice in choices:
            yield head | {"choices": [choice]} | tail
    if with_usage:
        yield head | {"choices": [], "usage": usage(written)}


async def sent(parts: AsyncIterator[dict[str, Any]]) -> AsyncGenerator[bytes]:
    """Chunks as server-sent events. A failure in the middle is sent as an error, and `[DONE]` is then left out."""
    try:
        async for part in parts:
            yield encoded(part)
    except NanosmithError as error:
        yield encoded(error_body(str(error), status=error.http_status, code=error.code, param=error.param))
    except Exception:
        log.exception("a stream failed")
        yield encoded(error_body("The stream failed on the server.", status=500, code="internal_error"))
    else:
        yield DONE


def stopping() -> bytes:
    return encoded(error_body(STOPPING, status=503, code="unavailable"))


def _made_before(home: Services, sent: Once) -> Document | None:
    """What an earlier sending of this request made. Raises InputError."""
    made = sent.made_before(home.ledger)
    return None if made is None else home.ledger.document(KIND, made)


def at_once(shown: dict[str, Any], asked: ChatRequest, headers: dict[str, str]) -> Response:
    """A completion that is whole, for a client that may have asked for a stream."""
    if not asked.stream:
        return json_response(shown, headers=headers)
    head = {name: shown.get(name) for name in ("id", "created", "model", "service_tier", "system_fingerprint")}
    head["object"] = "chat.completion.chunk"
    parts = [head | {"choices": [delta]} for choice in shown["choices"] for delta in _deltas(choice)]
    if asked.stream_options and asked.stream_options.include_usage:
        parts.append(head | {"choices": [], "usage": shown["usage"]})
    body = b"".join(map(encoded, parts)) + DONE
    return Response(body, headers={**headers, "cache-control": "no-cache"}, media_type="text/event-stream")


def _deltas(choice: dict[str, Any]) -> list[dict[str, Any]]:
    message = {name: value for name, value in choice["message"].items() if name != "annotations"}
    if message.get("tool_calls"):
        message["tool_calls"] = [{"index": i} | call for i, call in enumerate(message["tool_calls"])]
    logprobs = choice.get("logprobs")
    begun = {"index": choice["index"], "delta": message, "logprobs": logprobs, "finish_reason": None}
    return [begun, begun | {"delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}]


def _head(question: Question, object: str) -> dict[str, Any]:
    return {
        "id": question.id, "object": object, "created": question.created, "model": question.model.name,
        "service_tier": "default", "system_fingerprint": question.model.fingerprint,
    }  # fmt: skip


def encoded(event: Any) -> bytes:
    """One server-sent event without a name."""
    return b"data: " + msgspec.json.encode(event) + b"\n\n"
