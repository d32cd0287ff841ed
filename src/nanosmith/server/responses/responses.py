"""/v1/responses: the model's label as an output message, at once or as a stream, kept unless the client says no."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nanosmith.core.errors import InputError, NotFound, TooLong
from nanosmith.core.example import Message
from nanosmith.core.prediction import Prediction
from nanosmith.core.structs import to_struct
from nanosmith.server.chat.completions import IGNORED_HEADER, Answer, answer_to, logprobs, while_connected
from nanosmith.server.chat.request import ChatRequest, refused
from nanosmith.server.decisions import decisions
from nanosmith.server.http.idempotency import Once, once
from nanosmith.server.http.pages import limit_of, order_of, slice_response
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.models.cache import ModelCache
from nanosmith.server.models.turns import check_chars, remarks
from nanosmith.server.responses.items import Conversation, answer_item, conversation
from nanosmith.server.responses.request import ResponseRequest, as_chat, check, ignored
from nanosmith.server.responses.stream import server_sent, stream_events
from nanosmith.server.services import Services, services
from nanosmith.server.watch.tally import count_tokens
from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import Document

KIND = "response"
ITEMS = "input"
"""Where a document's body holds the items that a response was made from, those of earlier responses included: so that
a conversation goes on when an earlier part of it was deleted."""
FORMAT, OWN_FORMAT = "response_format", "text.format"  # as a chat completion and as a response names it
MOST_ITEMS = 100  # of one page
ECHOED = ("instructions", "previous_response_id", "max_output_tokens", "max_tool_calls", "temperature", "top_p")
ECHOED_WHEN_GIVEN = ("prompt_cache_key", "safety_identifier", "user")


async def create(request: Request) -> Response:
    given = await read_json(request)
    asked, made_from, answer = await _answer(request, given)
    made, headers = response_object(asked, answer), remarks(answer.prediction)
    if idle := ignored(asked, given):
        headers[IGNORED_HEADER] = ", ".join(idle)
    if asked.store is not False:
        kept = _document(made, made_from)
        made = await run_in_threadpool(_keep, services(request), kept, once(request, given))
    if asked.stream:
        headers["cache-control"] = "no-cache"
        return StreamingResponse(server_sent(stream_events(made)), headers=headers, media_type="text/event-stream")
    return json_response(made, headers=headers)


async def count_input_tokens(request: Request) -> Response:
    """What a response to the same request would read, and what a length limit would cut off."""
    given = await read_json(request)
    asked, _, answer = await _answer(request, given)
    headers = remarks(answer.prediction)
    if idle := ignored(asked, given):
        headers[IGNORED_HEADER] = ", ".join(idle)
    tokens = answer.prediction.tokens + answer.prediction.dropped_tokens
    return json_response({"object": "response.input_tokens", "input_tokens": tokens}, headers=headers)


def retrieve(request: Request) -> Response:
    document, query = _document_of(request), request.query_params
    if query.get("stream", "false").lower() not in ("false", "0", ""):
        raise refused("stream", "a kept response is given at once", "stream false")
    included = any(name.startswith("include") for name in query)
    return json_response(document.body[KIND], headers={IGNORED_HEADER: "include"} if included else None)


def delete(request: Request) -> Response:
    id = _document_of(request).id
    services(request).ledger.delete_document(KIND, id)
    return json_response({"id": id, "object": "response", "deleted": True})


def cancel(request: Request) -> Response:
    document = _document_of(request)
    raise InputError(
        "only a response in the background can be cancelled",
        where=document.id, got=f"status {document.status}", param="response_id",
    )  # fmt: skip


def list_input_items(request: Request) -> Response:
    items, query = _document_of(request).body[ITEMS], request.query_params
    limit, order = limit_of(query, default=20, most=MOST_ITEMS), order_of(query)
    return slice_response(items, after=query.get("after"), limit=limit, order=order)


def response_object(asked: ResponseRequest, answer: Answer) -> dict[str, Any]:
    shown = logprobs(answer)
    message = answer_item(answer.content, shown["content"] if shown else [])
    given = {name: getattr(asked, name) for name in ECHOED_WHEN_GIVEN if getattr(asked, name) is not None}
    reasoning = asked.reasoning
    return {
        "id": answer.id, "object": "response", "created_at": float(answer.created), "status": "completed",
        "completed_at": time.time(), "background": False, "error": None, "incomplete_details": None,
        "model": answer.model.name, "output": [message],
        "usage": decisions.usage(answer.prediction, answer.written_tokens),
        "text": _text(asked), "tools": [_tool(tool) for tool in msgspec.to_builtins(asked.tools or [])],
        "tool_choice": asked.tool_choice or "auto", "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "reasoning": {"effort": reasoning and reasoning.effort, "summary": reasoning and reasoning.summary},
        "truncation": asked.truncation or "auto", "top_logprobs": asked.top_logprobs or 0,
        "service_tier": "default", "store": asked.store is not False, "metadata": asked.metadata or {},
    } | {name: getattr(asked, name) for name in ECHOED} | given  # fmt: skip


async def _answer(request: Request, given: dict[str, Any]) -> tuple[ResponseRequest, Conversation, Answer]:
    """The request, what it is about, and the model's answer to that. Raises InputError, NotFound, TooBusy."""
    asked = to_struct(given, ResponseRequest)
    check(asked)
    home = services(request)
    before = await run_in_threadpool(_before, home.ledger, asked.previous_response_id)
    made_from = conversation(before, asked.input)
    developer = [Message("developer", asked.instructions)] if asked.instructions else []
    turns = (*developer, *made_from.turns)
    check_chars((turn.content for turn in turns), "input")
    answering = _answer_to(as_chat(asked, turns), home.models)
    answer = await (while_connected(request, answering) if asked.stream else answering)
    _check_truncation(asked, answer.prediction)
    count_tokens(request, answer.prediction.tokens + answer.written_tokens, model=answer.model.name)
    return asked, made_from, answer


async def _answer_to(asked: ChatRequest, models: ModelCache) -> Answer:
    """As in a chat completion; a refused format is told in the words of this resource."""
    try:
        answer = await answer_to(asked, models)
    except InputError as error:
        if not (error.param or "").startswith(FORMAT):
            raise
        param = (error.param or "").replace(f"{FORMAT}.json_schema", FORMAT)
        said = str(error).replace(FORMAT, OWN_FORMAT, 1)
        raise InputError(said, param=param.replace(FORMAT, OWN_FORMAT), code=error.code) from error
    return msgspec.structs.replace(answer, id=new_id("resp_"))


def _before(ledger: Ledger, id: str | None) -> Sequence[dict[str, Any]]:
    """The conversation up to a response, its answer included. Raises NotFound."""
    if id is None:
        return ()
    document = ledger.document(KIND, id)
    if document is None:
        raise NotFound(
            "the previous response does not exist",
            got=repr(id[:80]), param="previous_response_id", code="previous_response_not_found",
            remedy="It was deleted, made with store false, or never made.",
        )  # fmt: skip
    return [*document.body[ITEMS], *document.body[KIND]["output"]]


def _check_truncation(asked: ResponseRequest, prediction: Prediction) -> None:
    if asked.truncation == "disabled" and prediction.dropped_tokens:
        raise TooLong(
            "the model does not read so much, and truncation is disabled",
            got=f"about {prediction.tokens + prediction.dropped_tokens} tokens", allowed=f"{prediction.tokens} tokens",
            remedy="Send less, or truncation auto.", param="input",
        )  # fmt: skip


def _text(asked: ResponseRequest) -> dict[str, Any]:
    shown = {"format": msgspec.to_builtins(asked.format)}
    verbosity = asked.text and asked.text.verbosity
    return shown | {"verbosity": verbosity} if verbosity else shown


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tool.items() if name != "description" or value is not None}


def _document(response: dict[str, Any], made_from: Conversation) -> Document:
    return Document(
        KIND, response["id"], int(response["created_at"]), {KIND: response, ITEMS: list(made_from.items)},
        parent=response["previous_response_id"], status=response["status"], model=response["model"],
        metadata=response["metadata"],
    )  # fmt: skip


def _keep(home: Services, document: Document, asked: Once) -> dict[str, Any]:
    """The response, kept; or, when a client repeats a request because it saw no answer, the one that was kept then."""
    with home.creation:
        known = asked.earlier(home.ledger, partial(home.ledger.document, KIND))
        if known is None:
            home.ledger.add(document, asked.record(document.id))
    response: dict[str, Any] = (known or document).body[KIND]
    return response


def _document_of(request: Request) -> Document:
    id = request.path_params["id"]
    document = services(request).ledger.document(KIND, id)
    if document is None:
        raise NotFound("no such response", got=repr(id[:80]), param="response_id")
    return document


routes = [
    Route("/responses", create, methods=["POST"]),
    Route("/responses/input_tokens", count_input_tokens, methods=["POST"]),
    Route("/responses/{id}", retrieve, methods=["GET"]),
    Route("/responses/{id}", delete, methods=["DELETE"]),
    Route("/responses/{id}/cancel", cancel, methods=["POST"]),
    Route("/responses/{id}/input_items", list_input_items, methods=["GET"]),
]
