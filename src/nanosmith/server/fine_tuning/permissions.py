"""/v1/fine_tuning/checkpoints/{model}/permissions: which other projects may call a fine-tuned model or a checkpoint."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.structs import to_struct
from nanosmith.server.http.pages import limit_of, list_response, order_of, page_response
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.models.names import model_not_found
from nanosmith.server.services import services
from nanosmith.store.home import DEFAULT_PROJECT
from nanosmith.store.ledger import PERMISSION, Ledger, new_id
from nanosmith.store.records import Document

MOST = 1000  # of one page
ORDERS = {"ascending": "asc", "descending": "desc"}


class CreatePermissions(msgspec.Struct):
    project_ids: Annotated[list[str], Meta(min_length=1, max_length=100)]


async def create(request: Request) -> Response:
    asked = to_struct(await read_json(request), CreatePermissions)
    made = await run_in_threadpool(_create, services(request).ledger, _model(request), asked.project_ids)
    return list_response([permission_object(row) for row in made])


def list_permissions(request: Request) -> Response:
    query, ledger, model = request.query_params, services(request).ledger, _model(request)
    order = order_of(query, default="descending", names=ORDERS)
    wanted = {"project_id": query["project_id"]} if "project_id" in query else None
    limit = limit_of(query, default=10, most=MOST)
    return page_response(
        lambda: ledger.documents(
            PERMISSION, parent=model, metadata=wanted, after=query.get("after"), limit=limit,
            newest_first=order == "desc",
        ),
        permission_object,
    )  # fmt: skip


def delete(request: Request) -> Response:
    ledger, model, id = services(request).ledger, _model(request), request.path_params["id"]
    row = ledger.document(PERMISSION, id)
    if row is None or row.parent != model:
        raise NotFound("no such permission", got=repr(id[:80]), param="permission_id")
    ledger.delete_document(PERMISSION, id)
    return json_response({"id": id, "object": PERMISSION, "deleted": True})


def permission_object(row: Document) -> dict[str, Any]:
    return {"id": row.id, "object": PERMISSION, "created_at": row.created_at, **row.body}


def _create(ledger: Ledger, model: str, project_ids: list[str]) -> list[Document]:
    """One permission per project; a project that has one already keeps it."""
    made = []
    for index, id in enumerate(dict.fromkeys(project_ids)):
        if id != DEFAULT_PROJECT and ledger.project_row(id) is None:
            raise InputError("no such project", got=repr(id[:80]), param=f"project_ids[{index}]")
        body = {"project_id": id}
        known = ledger.documents(PERMISSION, parent=model, metadata=body, limit=1)
        made.append(known[0] if known else Document(
            PERMISSION, new_id("cp_"), int(time.time()), body, parent=model, metadata=body
        ))  # fmt: skip
    ledger.add(*(row for row in made if not row.seq))
    return made


def _model(request: Request) -> str:
    """The model of the path, which must be this project's own. Raises ModelNotFound."""
    name: str = request.path_params["model"]
    ledger = services(request).ledger
    if ledger.model(name) is None:
        raise model_not_found(ledger, name)
    return name


routes = [
    Route("/fine_tuning/checkpoints/{model:path}/permissions", create, methods=["POST"]),
    Route("/fine_tuning/checkpoints/{model:path}/permissions", list_permissions, methods=["GET"]),
    Route("/fine_tuning/checkpoints/{model:path}/permissions/{id}", delete, methods=["DELETE"]),
]
