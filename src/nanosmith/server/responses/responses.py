"""/v1/responses: the model's label as an output message, at once or as a stream, kept unless the client says no."""

from __future__ import annotations

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
from nanosmith.server.chat.completions import Answer, answer_to, logprobs
from nanosmith.server.chat.generate import is_writer
from nanosmith.server.chat.request import IGNORED_HEADER, ChatRequest, refused
from nanosmith.server.decisions import decisions
from nanosmith.server.http.connection import while_connected
from nanosmith.server.http.idempotency import once
from nanosmith.server.http.pages import limit_of, order_of, slice_response
from nanosmith.server.http.wire import json_response
from nanosmith.server.models.cache import ModelCache, OpenModel
from nanosmith.server.models.turns import check_chars, remarks
from nanosmith.server.responses import generate
from nanosmith.server.responses.generate import own_names
from nanosmith.server.responses.items import Conversation, answer_item
from nanosmith.server.responses.kept import ITEMS, KIND, begun, conversation_of, document, ended, keep
from nanosmith.server.responses.records import call_item, with_tools
from nanosmith.server.responses.request import ResponseRequest, as_chat, check, check_common, ignored
from nanosmith.server.responses.stream import server_sent, stream_events
from nanosmith.server.services import services
from nanosmith.server.watch.tally import count_tokens
from nanosmith.store.ledger import new_id
from nanosmith.store.records import Document

MOST_ITEMS = 100  # of one page


async def create(request: Request, given: dict[str, Any]) -> Response:
    """The answer of the model that the body `given` names."""
    asked = to_struct(given, ResponseRequest)
    opening = services(request).models.get(asked.model)
    model = await (while_connected(request, opening) if asked.stream else opening)
    if is_writer(model):
        return await generate.create(request, asked, given, model)
    made_from, answer = await _answer(request, asked, model)
    made, headers = response_object(asked, answer), remarks(answer.prediction)
    if idle := ignored(asked, given):
        headers[IGNORED_HEADER] = ", ".join(idle)
    if asked.store is not False:
        made = await run_in_threadpool(keep, services(request), document(made, made_from), once(request, given))
    if asked.stream:
        headers["cache-control"] = "no-cache"
        return StreamingResponse(server_sent(stream_events(made)), headers=headers, media_type="text/event-stream")
    return json_response(made, headers=headers)


async def count_input_tokens(request: Request, given: dict[str, Any]) -> Response:
    """What a response to the same request would read, and what a length limit would cut off."""
    asked = to_struct(given, ResponseRequest)
    model = await services(request).models.get(asked.model)
    if is_writer(model):
        return await generate.count_input_tokens(request, asked, given, model)
    _, answer = await _answer(request, asked, model)
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
    if answer.calls:
        item = call_item(answer.tool_call(0))
    else:
        item = answer_item(answer.content, shown["content"] if shown else [])
    usage = decisions.usage(answer.prediction, answer.written_tokens)
    return ended(begun(asked, answer.id, answer.created, answer.model.name), [item], usage)


async def _answer(request: Request, asked: ResponseRequest, model: OpenModel) -> tuple[Conversation, Answer]:
    """What a request is about, and the model's answer to that. Raises InputError, NotFound, TooBusy."""
    is_record = model.manifest.task.kind == "record"
    if is_record:
        check_common(asked)
    else:
        check(asked)
    home = services(request)
    made_from = await conversation_of(home, asked)
    developer = [Message("developer", asked.instructions)] if asked.instructions else []
    turns = (*developer, *made_from.turns)
    check_chars((turn.content for turn in turns), "input")
    question = as_chat(asked, turns)
    answering = _answer_to(with_tools(question, asked) if is_record else question, home.models)
    answer = await (while_connected(request, answering) if asked.stream else answering)
    if asked.truncation == "disabled":
        check_uncut(answer.prediction)
    count_tokens(request, answer.prediction.tokens + answer.written_tokens, model=answer.model.name)
    return made_from, answer


async def _answer_to(asked: ChatRequest, models: ModelCache) -> Answer:
    """As in a chat completion; a refused format is told in the words of this resource."""
    with own_names():
        answer = await answer_to(asked, models)
    return msgspec.structs.replace(answer, id=new_id("resp_"))


def check_uncut(prediction: Prediction) -> None:
    """Raises TooLong where the model did not read to the end."""
    if prediction.dropped_tokens:
        raise TooLong(
            "the model does not read so much, and truncation is disabled",
            got=f"about {prediction.tokens + prediction.dropped_tokens} tokens", allowed=f"{prediction.tokens} tokens",
            remedy="Send less, or truncation auto.", param="input",
        )  # fmt: skip


def _document_of(request: Request) -> Document:
    id = request.path_params["id"]
    document = services(request).ledger.document(KIND, id)
    if document is None:
        raise NotFound("no such response", got=repr(id[:80]), param="response_id")
    return document


routes = [
    Route("/responses/{id}", retrieve, methods=["GET"]),
    Route("/responses/{id}", delete, methods=["DELETE"]),
    Route("/responses/{id}/cancel", cancel, methods=["POST"]),
    Route("/responses/{id}/input_items", list_input_items, methods=["GET"]),
]
