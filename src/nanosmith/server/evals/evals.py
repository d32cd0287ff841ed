"""/v1/evals: definitions of evals. Their runs are in `eval_runs.py`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.limits import MAX_JSON_DEPTH, MAX_STORED_BYTES
from nanosmith.core.structs import to_struct
from nanosmith.server.evals.records import EVAL, ITEM, RUN, eval_object
from nanosmith.server.evals.request import (
    CreateEval,
    UpdateEval,
    item_schema,
    kept_criterion,
    read_criteria,
    shown_config,
)
from nanosmith.server.evals.tools import is_cosine, open_embedder, tools_of
from nanosmith.server.http.idempotency import Once, once
from nanosmith.server.http.pages import limit_of, order_of, page_response, slice_response
from nanosmith.server.http.wire import is_deep, json_response, read_json
from nanosmith.server.services import Services, services
from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import Document

CREATED = 201
LIMIT = 20
MOST = 100  # of one page, so that a page stays below 100 MiB
ORDERS_BY = ("created_at", "updated_at")


async def create(request: Request) -> Response:
    content = await read_json(request)
    asked, here = to_struct(content, CreateEval), services(request)
    body = await run_in_threadpool(eval_body, here, asked)
    if any(is_cosine(kept_criterion(one)) for one in body["testing_criteria"]):
        await open_embedder(here)  # it may have to be made first, which takes its time
    row = await run_in_threadpool(_create, here, body, asked.metadata, once(request, content))
    return json_response(eval_object(row), status=CREATED)


def list_evals(request: Request) -> Response:
    query, ledger = request.query_params, services(request).ledger
    limit, order, after = limit_of(query, default=LIMIT, most=MOST), order_of(query, "asc"), query.get("after")
    by = query.get("order_by", "created_at")
    if by not in ORDERS_BY:
        raise InputError("wrong order_by", got=repr(by[:20]), allowed=" or ".join(ORDERS_BY), param="order_by")
    if by == "updated_at":
        rows = sorted(all_documents(ledger, EVAL), key=lambda row: row.body["updated_at"])
        return slice_response([eval_object(row) for row in rows], after=after, limit=limit, order=order)
    newest_first = order == "desc"
    return page_response(
        lambda: ledger.documents(EVAL, after=after, limit=limit, newest_first=newest_first), eval_object
    )


def retrieve(request: Request) -> Response:
    return json_response(eval_object(eval_row(request)))


async def update(request: Request) -> Response:
    asked = to_struct(await read_json(request), UpdateEval)
    row = await run_in_threadpool(_update, request, asked)
    return json_response(eval_object(row))


def delete(request: Request) -> Response:
    """The runs go first, so that a deletion that was interrupted can be repeated."""
    row, here = eval_row(request), services(request)
    with here.creation:
        for run in all_documents(here.ledger, RUN, parent=row.id):
            here.ledger.delete_document(RUN, run.id, children=(ITEM,), end=True)
        here.ledger.delete_document(EVAL, row.id)
    return json_response({"object": "eval.deleted", "deleted": True, "eval_id": row.id})


def eval_row(request: Request) -> Document:
    id = request.path_params["eval_id"]
    row = services(request).ledger.document(EVAL, id)
    if row is None:
        raise NotFound("no such eval", got=repr(id[:80]), param="eval_id")
    return row


def all_documents(ledger: Ledger, kind: str, *, parent: str | None = None) -> Iterator[Document]:
    """Oldest first, read page by page."""
    after = None
    while True:
        page = ledger.documents(kind, parent=parent, after=after, limit=MOST, newest_first=False)
        yield from page
        if not page.has_more:
            return
        after = page[-1].id


def check_stored(body: dict[str, Any], param: str, remedy: str) -> None:
    """Raises InputError for what is too large, or nested too deeply, to be kept."""
    if is_deep(body):
        raise InputError("this is nested too deeply", where=param, allowed=f"{MAX_JSON_DEPTH} levels", param=param)
    size = len(msgspec.json.encode(body))
    if size > MAX_STORED_BYTES:
        raise InputError(
            "this is too large to be kept", where=param, got=f"{size} bytes", allowed=f"{MAX_STORED_BYTES} bytes",
            remedy=remedy, param=param,
        )  # fmt: skip


def eval_body(here: Services, asked: CreateEval) -> dict[str, Any]:
    """What is kept of an eval. Raises InputError, ModelNotFound, MissingExtra."""
    config = shown_config(asked.data_source_config)
    criteria = read_criteria(asked.testing_criteria, item_schema(config), here, tools_of(here))
    body = {
        "name": asked.name or "", "data_source_config": config, "testing_criteria": criteria, "updated_at": time.time(),
    }  # fmt: skip
    check_stored(body, "testing_criteria", "Shorten the messages of the graders.")
    return body


def _create(here: Services, body: dict[str, Any], metadata: dict[str, str] | None, sent: Once) -> Document:
    """A new eval; or, when a client repeats a request because it saw no answer, the eval that it made before."""
    with here.creation:
        row = sent.earlier(here.ledger, partial(here.ledger.document, EVAL))
        if row is None:
            row = Document(EVAL, new_id("eval_"), int(time.time()), body, metadata=metadata)
            here.ledger.add(row, sent.record(row.id))
    return row


def _update(request: Request, asked: UpdateEval) -> Document:
    here = services(request)
    with here.creation:
        row = eval_row(request)
        name = row.body["name"] if asked.name is UNSET else asked.name
        metadata = row.metadata if asked.metadata is UNSET else asked.metadata
        body = row.body | {"name": name, "updated_at": time.time()}
        check_stored(body, "name", "Take a shorter name.")
        changed = here.ledger.update_document(EVAL, row.id, body=body, metadata=metadata)
    return changed or eval_row(request)


routes = [
    Route("/evals", create, methods=["POST"]),
    Route("/evals", list_evals, methods=["GET"]),
    Route("/evals/{eval_id}", retrieve, methods=["GET"]),
    Route("/evals/{eval_id}", update, methods=["POST"]),
    Route("/evals/{eval_id}", delete, methods=["DELETE"]),
]
