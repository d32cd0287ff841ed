"""/v1/evals/{eval_id}/runs: runs of an eval and their output items. The work itself is in `eval_work.py`."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.structs import to_struct
from nanosmith.jobs.webhooks.webhooks import announce
from nanosmith.server.chat.request import IGNORED_HEADER
from nanosmith.server.evals.evals import CREATED, LIMIT, MOST, check_stored, eval_row
from nanosmith.server.evals.records import (
    ITEM,
    ITEM_STATUSES,
    KEY,
    OPEN,
    RUN,
    RUN_STATUSES,
    Counts,
    item_object,
    run_object,
)
from nanosmith.server.evals.request import item_schema
from nanosmith.server.evals.run_request import CreateRun, check_run, ignored
from nanosmith.server.files.files import remove_expired
from nanosmith.server.http.idempotency import Once, once
from nanosmith.server.http.pages import limit_of, order_of, page_response
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.services import Services, services
from nanosmith.server.watch.tally import tally_of
from nanosmith.store.ledger import new_id
from nanosmith.store.records import Document, Work


async def create(request: Request) -> Response:
    content = await read_json(request)
    asked, sent = to_struct(content, CreateRun), once(request, content)
    row = await run_in_threadpool(_create, request, asked, content["data_source"], sent)
    services(request).wake()
    idle = await run_in_threadpool(ignored, asked, services(request))
    headers = {IGNORED_HEADER: ", ".join(idle)} if idle else None
    return json_response(run_object(row, _base_url(request)), status=CREATED, headers=headers)


def list_runs(request: Request) -> Response:
    query, ledger, definition = request.query_params, services(request).ledger, eval_row(request)
    limit, order = limit_of(query, default=LIMIT, most=MOST), order_of(query, "asc")
    status = _status(query.get("status"), {name: name for name in RUN_STATUSES})
    return page_response(
        lambda: ledger.documents(
            RUN, parent=definition.id, status=status, after=query.get("after"), limit=limit,
            newest_first=order == "desc",
        ),
        partial(run_object, base_url=_base_url(request)),
    )  # fmt: skip


def retrieve(request: Request) -> Response:
    return _run_response(request, run_row(request))


def cancel(request: Request) -> Response:
    """End a waiting run at once; ask the process of a running one to stop, which takes up to two seconds."""
    row, here = run_row(request), services(request)
    told = announce(here.ledger, "eval.run.canceled", row.id)
    ended = here.ledger.end_free_document(RUN, row.id, expect={"status": OPEN}, also=told, status="canceled")
    if ended is None and not here.ledger.ask_to_stop(row.id, "cancel"):
        raise InputError(
            "the run has ended and cannot be canceled", where=row.id, got=run_row(request).status, param="run_id",
            code="run_ended",
        )  # fmt: skip
    here.wake()
    return _run_response(request, ended or run_row(request))


def delete(request: Request) -> Response:
    """With its output items. A process that works on it can write nothing more, and stops."""
    row = run_row(request)
    services(request).ledger.delete_document(RUN, row.id, children=(ITEM,), end=True)
    return json_response({"object": "eval.run.deleted", "deleted": True, "run_id": row.id})


def list_items(request: Request) -> Response:
    query, ledger, run = request.query_params, services(request).ledger, run_row(request)
    limit, order = limit_of(query, default=LIMIT, most=MOST), order_of(query, "asc")
    status = _status(query.get("status"), ITEM_STATUSES)
    return page_response(
        lambda: ledger.documents(
            ITEM, parent=run.id, status=status, after=query.get("after"), limit=limit, newest_first=order == "desc"
        ),
        partial(item_object, eval_id=run.parent or ""),
    )


def retrieve_item(request: Request) -> Response:
    run, id = run_row(request), request.path_params["item_id"]
    row = services(request).ledger.document(ITEM, id)
    if row is None or row.parent != run.id:
        raise NotFound("no such output item", got=repr(id[:80]), param="output_item_id")
    return json_response(item_object(row, run.parent or ""))


def run_row(request: Request) -> Document:
    definition, id = eval_row(request), request.path_params["run_id"]
    row = services(request).ledger.document(RUN, id)
    if row is None or row.parent != definition.id:
        raise NotFound("no such run of this eval", got=repr(id[:80]), param="run_id")
    return row


def _create(request: Request, asked: CreateRun, source: dict[str, Any], sent: Once) -> Document:
    """A new run; or, when a client repeats a request because it saw no answer, the run that it made before."""
    here = services(request)
    with here.creation:
        definition = eval_row(request)
        row = sent.earlier(here.ledger, partial(here.ledger.document, RUN))
        if row is None:
            row = _new_row(here, definition, asked, source, tally_of(request.scope).key)
            here.ledger.add(row, Work(row.id, RUN), sent.record(row.id))
    return row


def _new_row(
    here: Services, definition: Document, asked: CreateRun, source: dict[str, Any], key: str | None
) -> Document:
    remove_expired(here)
    check_run(asked, item_schema(definition.body["data_source_config"]), here)
    counts = Counts.none(definition.body["testing_criteria"])
    name = asked.name if asked.name is not None else source.get("model") or ""
    body = {"name": name, "data_source": source, "counts": msgspec.to_builtins(counts), "error": None, KEY: key}
    check_stored(body, "data_source", 'Upload the rows as a file with purpose="evals".')
    return Document(
        RUN, new_id("evalrun_"), int(time.time()), body, parent=definition.id, status="queued",
        metadata=asked.metadata,
    )  # fmt: skip


def _run_response(request: Request, row: Document) -> Response:
    return json_response(run_object(row, _base_url(request)))


def _base_url(request: Request) -> str:
    """Where the client reached this server."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _status(given: str | None, known: dict[str, str]) -> str | None:
    if given is not None and given not in known:
        raise InputError("wrong status", got=repr(given[:20]), allowed=", ".join(known), param="status")
    return None if given is None else known[given]


RUN_PATH = "/evals/{eval_id}/runs/{run_id}"
routes = [
    Route("/evals/{eval_id}/runs", create, methods=["POST"]),
    Route("/evals/{eval_id}/runs", list_runs, methods=["GET"]),
    Route(RUN_PATH, retrieve, methods=["GET"]),
    Route(RUN_PATH, cancel, methods=["POST"]),
    Route(RUN_PATH, delete, methods=["DELETE"]),
    Route(f"{RUN_PATH}/cancel", cancel, methods=["POST"]),
    Route(f"{RUN_PATH}/output_items", list_items, methods=["GET"]),
    Route(f"{RUN_PATH}/output_items/{{item_id}}", retrieve_item, methods=["GET"]),
]
