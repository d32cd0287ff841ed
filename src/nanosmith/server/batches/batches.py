"""/v1/batches: many requests in one file, answered by a worker (nanosmith.jobs.batches.work)."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import Cancelled, InputError, NotFound
from nanosmith.core.fields import Metadata
from nanosmith.core.limits import MAX_BATCH_BYTES
from nanosmith.core.structs import to_struct
from nanosmith.jobs.batches.answers import Progress, counts
from nanosmith.jobs.batches.rows import EXPIRES_AFTER, HIDDEN, KEY, KIND, OPEN, batch_row, change
from nanosmith.jobs.submit import check_file
from nanosmith.server.batches.lines import ENDPOINTS
from nanosmith.server.files.files import EXPIRES_AFTER_S, remove_expired
from nanosmith.server.http.idempotency import Once, once
from nanosmith.server.http.pages import limit_of, page_response
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.services import Services, services
from nanosmith.server.watch.tally import tally_of
from nanosmith.store.ledger import new_id
from nanosmith.store.records import Document, Work

PURPOSE = "batch"
WINDOW_S = 24 * 3600
MOST = 100  # of one page
CANCELLABLE = ("validating", "in_progress", "finalizing")
"""States in which there is something to cancel."""


class OutputExpiresAfter(msgspec.Struct):
    """`seconds` from the creation of the files."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=EXPIRES_AFTER_S[0], le=EXPIRES_AFTER_S[1])]


class CreateBatch(msgspec.Struct):
    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: Metadata = None
    output_expires_after: OutputExpiresAfter | None = None


async def create(request: Request) -> Response:
    content = await read_json(request)
    asked = to_struct(content, CreateBatch)
    if asked.endpoint not in ENDPOINTS:
        raise InputError(
            "batches have no such endpoint", got=repr(asked.endpoint[:80]), allowed=", ".join(ENDPOINTS),
            param="endpoint",
        )  # fmt: skip
    key = tally_of(request.scope).key
    row = await run_in_threadpool(_create, services(request), asked, once(request, content), key)
    return json_response(batch_object(row))


def list_batches(request: Request) -> Response:
    query, ledger = request.query_params, services(request).ledger
    limit = limit_of(query, default=20, most=MOST)
    return page_response(lambda: ledger.documents(KIND, after=query.get("after"), limit=limit), batch_object)


def retrieve(request: Request) -> Response:
    return json_response(batch_object(_row(request)))


def cancel(request: Request) -> Response:
    """Ask for the end of a batch; with what was answered, it comes within seconds."""
    row, here = _row(request), services(request)
    if row.status not in OPEN:
        raise InputError(
            "the batch has ended and cannot be cancelled", where=row.id, got=row.status, param="batch_id",
            code="batch_ended",
        )  # fmt: skip
    here.ledger.ask_to_stop(row.id, "cancel")  # first: when this process dies now, the batch is cancelled all the same
    row = _mark(here, row)
    here.wake()
    return json_response(batch_object(row))


def batch_object(row: Document) -> dict[str, Any]:
    """Fields that have no value are left out, as OpenAI's schema has no null for them."""
    body = {name: value for name, value in row.body.items() if value is not None and name not in HIDDEN}
    shown = {"id": row.id, "object": "batch", "created_at": row.created_at, "status": row.status}
    return shown | body | {"metadata": row.metadata}


def _create(home: Services, asked: CreateBatch, sent: Once, key: str | None) -> Document:
    """A new batch; or, when a client repeats a request because it saw no answer, the batch that it made before."""
    with home.creation:
        row = sent.earlier(home.ledger, partial(home.ledger.document, KIND))
        if row is None:
            remove_expired(home)
            row = _new_row(home, asked, key)
            home.ledger.add(row, Work(row.id, KIND), sent.record(row.id))
    home.wake()
    return row


def _new_row(home: Services, asked: CreateBatch, key: str | None) -> Document:
    file = check_file(home.ledger, asked.input_file_id, "input_file_id", PURPOSE)
    if file.bytes > MAX_BATCH_BYTES:
        raise InputError(
            "the input file is too large for a batch", where="input_file_id", got=f"{file.bytes} bytes",
            allowed=f"{MAX_BATCH_BYTES} bytes", param="input_file_id", code="file_too_large",
            remedy="Split it into several batches.",
        )  # fmt: skip
    now, expiry = int(time.time()), asked.output_expires_after
    body = {
        "endpoint": asked.endpoint, "input_file_id": file.id, "completion_window": asked.completion_window,
        "expires_at": now + WINDOW_S, "request_counts": counts(0, Progress()),
        EXPIRES_AFTER: expiry and expiry.seconds, KEY: key,
    }  # fmt: skip
    return Document(KIND, new_id("batch_"), now, body, status="validating", metadata=asked.metadata)


def _mark(home: Services, row: Document) -> Document:
    """The batch as cancelling; or as it is, when it has come to its end meanwhile."""
    try:
        return change(home.ledger, row.id, CANCELLABLE, status="cancelling", cancelling_at=int(time.time()))
    except Cancelled:
        return batch_row(home.ledger, row.id)


def _row(request: Request) -> Document:
    id = request.path_params["id"]
    row = services(request).ledger.document(KIND, id)
    if row is None:
        raise NotFound("no such batch", got=repr(id[:80]), param="batch_id")
    return row


routes = [
    Route("/batches", create, methods=["POST"]),
    Route("/batches", list_batches, methods=["GET"]),
    Route("/batches/{id}", retrieve, methods=["GET"]),
    Route("/batches/{id}/cancel", cancel, methods=["POST"]),
]
