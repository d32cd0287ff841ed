"""Responses of text models: written token by token, as a message or a function call."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from nanosmith.core.errors import InputError, NanosmithError
from nanosmith.core.generation import Sampling, TokenLogprob
from nanosmith.server.chat.generate import Question, question_to, started, write
from nanosmith.server.chat.request import (
    IGNORED_HEADER,
    ChatMessage,
    ChatRequest,
    Function,
    FunctionToolCall,
)
from nanosmith.server.chat.written import Choice, Written, logprobs
from nanosmith.server.http.connection import while_connected
from nanosmith.server.http.event_stream import EventStream
from nanosmith.server.http.idempotency import once
from nanosmith.server.http.wire import json_response
from nanosmith.server.models.cache import OpenModel
from nanosmith.server.models.writing import Writing
from nanosmith.server.responses import kept
from nanosmith.server.responses.items import CALLS, PREFIXES, Conversation, answer_item
from nanosmith.server.responses.request import (
    ResponseRequest,
    Tool,
    check_common,
    idle_names,
    response_format,
)
from nanosmith.server.responses.stream import (
    Sent,
    added_events,
    begun_events,
    delta_event,
    done_events,
    encoded,
    ended_event,
    stream_events,
)
from nanosmith.server.services import services
from nanosmith.server.watch.tally import count_tokens
from nanosmith.store.ledger import new_id

Keep: TypeAlias = Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]
IGNORED: dict[str, tuple[Any, ...]] = {
    "max_tool_calls": (), "reasoning": (), "service_tier": ("auto", "default"), "truncation": ("disabled",),
    "prompt_cache_key": (), "prompt_cache_options": (), "prompt_cache_retention": (), "safety_identifier": (),
    "user": (), "background_options": (), "context_management": (), "access_programs": (), "image": (),
}  # fmt: skip
"""Parameters without effect on a written text, with the values that ask for nothing else."""
OWN_NAMES = (
    ("response_format.json_schema", "text.format"), ("response_format", "text.format"), ("messages", "input"),
    ("max_completion_tokens", "max_output_tokens"),
)  # fmt: skip
"""Parameters as a chat completion and as a response names them."""


async def create(request: Request, asked: ResponseRequest, given: dict[str, Any], model: OpenModel) -> Response:
    question, made_from = await _question(request, asked, model)
    idle = idle_names(asked, given, IGNORED)
    headers = {IGNORED_HEADER: ", ".join(idle)} if idle else {}
    home, sent = services(request), once(request, given)
    if asked.store is not False:
        earlier = await run_in_threadpool(sent.earlier, home.ledger, partial(home.ledger.document, kept.KIND))
        if earlier is not None:
            return _again(earlier.body[kept.KIND], asked, headers)

    async def keep(made: dict[str, Any]) -> dict[str, Any]:
        if asked.store is False:
            return made
        return await run_in_threadpool(kept.keep, home, kept.document(made, made_from), sent)

    begun = kept.begun(asked, question.id, question.created, model.name)
    answer = _streamed if asked.stream else _at_once
    return await answer(request, question, begun, keep, headers)


async def count_input_tokens(
    request: Request, asked: ResponseRequest, given: dict[str, Any], model: OpenModel
) -> Response:
    """The prompt is read, and one token written, which tells how long the prompt is."""
    question, _ = await _question(request, asked, model)
    counting = msgspec.structs.replace(question.plan, samplings=(Sampling(max_tokens=1, temperature=0.0),))
    with own_names():
        written = await while_connected(request, write(msgspec.structs.replace(question, plan=counting)))
    count_tokens(request, written.prompt_tokens, model=model.name)
    idle = idle_names(asked, given, IGNORED)
    headers = {IGNORED_HEADER: ", ".join(idle)} if idle else None
    return json_response({"object": "response.input_tokens", "input_tokens": written.prompt_tokens}, headers=headers)


async def _question(request: Request, asked: ResponseRequest, model: OpenModel) -> tuple[Question, Conversation]:
    """The same question as a chat completion asks it. Raises InputError, NotFound, TooLong."""
    check_common(asked)
    made_from = await kept.conversation_of(services(request), asked)
    with own_names():
        question = question_to(model, as_chat(asked, made_from.items))
    return msgspec.structs.replace(question, id=new_id("resp_")), made_from


def as_chat(asked: ResponseRequest, items: Sequence[dict[str, Any]]) -> ChatRequest:
    developer = [ChatMessage("developer", asked.instructions)] if asked.instructions else []
    return ChatRequest(
        asked.model,
        [*developer, *map(_message, items)],
        logprobs=asked.wants_logprobs,
        top_logprobs=asked.top_logprobs if asked.wants_logprobs else None,
        response_format=response_format(asked.format),
        tools=[_tool(tool) for tool in asked.tools or ()],
        tool_choice=_tool_choice(asked.tool_choice),
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_completion_tokens=asked.max_output_tokens,
    )


@contextmanager
def own_names() -> Iterator[None]:
    """Errors of the chat completion are told in the words of this resource."""
    try:
        yield
    except InputError as error:
        raise _in_own_words(error) from error


def _in_own_words(error: NanosmithError) -> NanosmithError:
    param, text = re.sub(r"^(tools\[\d+\])\.function\b", r"\1", error.param or ""), str(error)
    for theirs, ours in OWN_NAMES:
        if param.startswith(theirs):
            param, text = ours + param.removeprefix(theirs), text.replace("response_format", "text.format", 1)
            break
    return type(error)(text, param=param or None, code=error.code)


async def _at_once(
    request: Request, question: Question, begun: dict[str, Any], keep: Keep, headers: dict[str, str]
) -> Response:
    with own_names():
        written = await while_connected(request, write(question))
    count_tokens(request, written.total_tokens, model=question.model.name)
    item = item_of(written.choices[0], question)
    return json_response(await keep(ended(begun, item, written)), headers=headers)


async def _streamed(
    request: Request, question: Question, begun_response: dict[str, Any], keep: Keep, headers: dict[str, str]
) -> Response:
    with own_names():
        writing, written, end = await started(request, question)
    sent, events = Sent(), _events(question, writing, written, begun_response, keep)
    return EventStream(sent.each(events), last=sent.stopping, end=end, headers=headers)


async def _events(
    question: Question, writing: Writing, written: Written, begun: dict[str, Any], keep: Keep
) -> AsyncGenerator[dict[str, Any]]:
    """Those of one response, as it grows."""
    for event in begun_events(begun):
        yield event
    choice, item, at = written.choices[0], dict[str, Any](), dict[str, Any]()
    async for part in writing:
        _, new = written.add(part)
        if not item and choice.is_decided:
            item = item_of(choice, question)
            at = {"output_index": 0, "item_id": item["id"]}
            for event in added_events(item, at):
                yield event
        tokens = choice.new_tokens() if item else []
        if new or tokens:
            yield delta_event(item, at, new, _logprobs(tokens, question))
    item = item_of(choice, question, id=item["id"])
    for event in done_events(item, at):
        yield event
    yield ended_event(await keep(ended(begun, item, written)))


def item_of(choice: Choice, question: Question, id: str | None = None) -> dict[str, Any]:
    """The message or call, as far as it is written."""
    status = {None: "in_progress", "length": "incomplete"}.get(choice.reason, "completed")
    if choice.call is None or not choice.is_call:
        item = answer_item(choice.text, _logprobs(choice.tokens, question))
    else:
        item = {
            "id": new_id(PREFIXES["function_call"]), "type": "function_call", "call_id": choice.call_id,
            "name": choice.call.name, "arguments": choice.call.arguments,
        }  # fmt: skip
    return item | {"status": status} | ({} if id is None else {"id": id})


def ended(begun: dict[str, Any], item: dict[str, Any], written: Written) -> dict[str, Any]:
    made = kept.ended(begun, [item], _usage(written))
    if written.choices[0].reason != "length":
        return made
    return made | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}


def _again(made: dict[str, Any], asked: ResponseRequest, headers: dict[str, str]) -> Response:
    """The response that was made for an earlier sending of the same request."""
    if not asked.stream:
        return json_response(made, headers=headers)
    body = b"".join(encoded(event, number) for number, event in enumerate(stream_events(made)))
    return Response(body, headers={**headers, "cache-control": "no-cache"}, media_type="text/event-stream")


def _message(item: dict[str, Any]) -> ChatMessage:
    """A kept item as a message of a chat completion."""
    if item["type"] == "message":
        texts = [part.get("text", part.get("refusal", "")) for part in item["content"]]
        return ChatMessage(item["role"], "\n".join(texts))
    if item["type"] in CALLS:
        arguments = (
            item["arguments"] if item["type"] == "function_call" else msgspec.json.encode(item["input"]).decode()
        )
        call = FunctionToolCall(item["call_id"], Function(item["name"], arguments))
        return ChatMessage("assistant", tool_calls=[call])
    return ChatMessage("tool", item["output"], tool_call_id=item["call_id"])


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.type != "function":
        return {"type": tool.type}
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function | {"strict": tool.strict}}


def _tool_choice(given: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """Flat, unlike in a chat completion."""
    if not isinstance(given, dict):
        return given
    if given.get("type") == "function":
        return {"type": "function", "function": {"name": given.get("name")}}
    if given.get("type") != "allowed_tools" or not isinstance(given.get("tools"), list):
        return given
    tools = [_tool_choice(tool) for tool in given["tools"]]
    return {"type": "allowed_tools", "allowed_tools": {"mode": given.get("mode"), "tools": tools}}


def _logprobs(tokens: list[TokenLogprob], question: Question) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = logprobs(tokens)["content"] if question.request.logprobs else []
    return shown


def _usage(written: Written) -> dict[str, Any]:
    return {
        "input_tokens": written.prompt_tokens, "output_tokens": written.written_tokens,
        "total_tokens": written.total_tokens,
        "input_tokens_details": {"cached_tokens": written.cached_tokens, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
