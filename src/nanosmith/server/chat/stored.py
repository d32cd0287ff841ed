"""Stored chat completions: /v1/chat/completions for GET, and all below it."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.fields import Metadata
from nanosmith.core.limits import MAX_STORED_BYTES
from nanosmith.core.structs import to_struct
from nanosmith.data.completions import KIND
from nanosmith.server.chat.request import ChatMessage, ChatRequest, turns
from nanosmith.server.http.idempotency import Once
from nanosmith.server.http.pages import limit_of, metadata_of, order_of, page_response, slice_response
from nanosmith.server.http.strict import wants_strict_types
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.services import Services, services
from nanosmith.server.watch.tally import tally_of
from nanosmith.store.captures import give_feedback
from nanosmith.store.records import Document

LIMIT = 20
MOST = 100  # of one page, so that a page stays below 100 MiB
ECHOED = (
    "seed", "temperature", "top_p", "presence_penalty", "frequency_penalty", "tools", "tool_choice", "response_format",
)  # fmt: skip


class Update(msgspec.Struct, forbid_unknown_fields=True):
    metadata: Metadata


def list_completions(request: Request) -> Response:
    query, ledger = request.query_params, services(request).ledger
    limit, order = limit_of(query, default=LIMIT, most=MOST), order_of(query, "asc")
    model, wanted = query.get("model"), metadata_of(query)
    return page_response(
        lambda: ledger.documents(
            KIND, model=model, metadata=wanted, after=query.get("after"), limit=limit, newest_first=order == "desc"
        ),
        completion_object,
    )


def retrieve(request: Request) -> Response:
    return json_response(completion_object(_stored(request)))


async def update(request: Request) -> Response:
    given = to_struct(await read_json(request), Update)
    return await run_in_threadpool(_update, request, given.metadata)


def delete(request: Request) -> Response:
    id = request.path_params["id"]
    if not services(request).ledger.delete_document(KIND, id):
        raise _not_found(id)
    return json_response({"id": id, "object": "chat.completion.deleted", "deleted": True})


def list_messages(request: Request) -> Response:
    """The messages of the request, in its order."""
    query, stored = request.query_params, _stored(request)
    limit, order = limit_of(query, default=LIMIT, most=MOST), order_of(query, "asc")
    messages = [{"id": f"{stored.id}-{i}"} | message for i, message in enumerate(stored.body["messages"])]
    if wants_strict_types(request):
        messages = [message | {"role": "assistant", "nanosmith": {"role": message["role"]}} for message in messages]
    return slice_response(messages, after=query.get("after"), limit=limit, order=order)


def completion_object(row: Document) -> dict[str, Any]:
    shown: dict[str, Any] = row.body["completion"]
    return shown | {"metadata": row.metadata or {}}


def to_store(shown: dict[str, Any], asked: ChatRequest, given: dict[str, Any], request: Request) -> Document:
    """The row of a completion: the object of the API with what it echoes of the request, and the request's messages.

    Raises InputError when that is too large.
    """
    echo = {name: given.get(name) for name in ECHOED}
    echo |= {"request_id": tally_of(request.scope).id, "input_user": asked.user}
    messages = [message_object(m, turn.content) for m, turn in zip(asked.messages, turns(asked), strict=True)]
    body = {"completion": echo | shown, "messages": messages}
    size = len(msgspec.json.encode(body))
    if size > MAX_STORED_BYTES:
        raise InputError(
            "store is refused: the completion and its request are too large",
            got=f"{size} bytes", allowed=f"{MAX_STORED_BYTES} bytes", param="store",
        )  # fmt: skip
    return Document(KIND, shown["id"], shown["created"], body, model=asked.model, metadata=asked.metadata)


def store(home: Services, row: Document, asked: Once) -> Document:
    """Store a completion durably; when a client repeats its request because it saw no answer, the one stored then."""
    with home.creation:
        made = asked.made_before(home.ledger)
        if made is None:
            home.ledger.add(row, asked.record(row.id))
            return row
    return home.ledger.document(KIND, made) or msgspec.structs.replace(row, id=made)  # it may be deleted since


def message_object(message: ChatMessage, text: str) -> dict[str, Any]:
    """A message as lists show it; `text` is its content, joined where it came in parts."""
    parts = message.content if isinstance(message.content, list) else None
    shown: dict[str, Any] = {
        "role": message.role, "content": None if message.content is None else text, "refusal": message.refusal,
        "name": message.name, "tool_calls": message.tool_calls, "function_call": message.function_call,
        "content_parts": parts and [{"type": "text", "text": one.text} for one in parts if one.type == "text"],
    }  # fmt: skip
    if message.tool_call_id is not None:
        shown["tool_call_id"] = message.tool_call_id
    return msgspec.to_builtins(shown)  # type: ignore[no-any-return]


def _update(request: Request, metadata: dict[str, str] | None) -> Response:
    id = request.path_params["id"]
    row = services(request).ledger.update_document(KIND, id, metadata=metadata)
    if row is None:
        raise _not_found(id)
    give_feedback(services(request).ledger, id, metadata)
    return json_response(completion_object(row))


def _stored(request: Request) -> Document:
    id = request.path_params["id"]
    row = services(request).ledger.document(KIND, id)
    if row is None:
        raise _not_found(id)
    return row


def _not_found(id: str) -> NotFound:
    return NotFound(
        "no such stored completion", got=repr(id[:80]), param="completion_id",
        remedy="Only completions that were made with store true are kept.",
    )  # fmt: skip


routes = [
    Route("/chat/completions", list_completions, methods=["GET"]),
    Route("/chat/completions/{id}", retrieve, methods=["GET"]),
    Route("/chat/completions/{id}", update, methods=["POST"]),
    Route("/chat/completions/{id}", delete, methods=["DELETE"]),
    Route("/chat/completions/{id}/messages", list_messages, methods=["GET"]),
]
