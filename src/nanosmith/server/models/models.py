"""/v1/models: routes, local models, and the base models that can be fine-tuned."""

from __future__ import annotations

import shutil
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import NanosmithError
from nanosmith.data.kept import forget
from nanosmith.server.http.errors import Forbidden
from nanosmith.server.http.pages import list_response
from nanosmith.server.http.wire import json_response
from nanosmith.server.models.names import callable_model, is_base, model_not_found, own_bases
from nanosmith.server.services import Services, services
from nanosmith.store.bundles import read_manifest
from nanosmith.store.records import ModelRow

OWNER = "nanosmith"
ROUTES = "nanosmith-routes"
BASE_CREATED_AT = 1_764_547_200  # 2025-12-01, the same for all base models: a date that never changes


def list_models(request: Request) -> Response:
    home = services(request)
    routes = home.shared.routing.offered(home.ledger.project)
    local = [row for row in home.ledger.models() if row.name not in routes]  # those are called by the route alone
    return list_response([*map(route_object, routes), *map(model_object, local), *map(base_object, own_bases())])


def retrieve(request: Request) -> Response:
    name = request.path_params["model"]
    if name in own_bases():
        return json_response(base_object(name))
    home = services(request)
    if name in home.shared.routing.offered(home.ledger.project):
        return json_response(route_object(name))
    row, _ = callable_model(home.ledger, name)
    return json_response(model_object(row))


async def delete(request: Request) -> Response:
    name, home = request.path_params["model"], services(request)
    await run_in_threadpool(_delete, home, name)
    home.models.forget(name)
    return json_response({"id": name, "object": "model", "deleted": True})


def model_object(row: ModelRow) -> dict[str, Any]:
    return {
        "id": row.name, "object": "model", "created": row.created_at, "owned_by": row.owned_by, "shutdown_date": None,
    }  # fmt: skip


def base_object(name: str) -> dict[str, Any]:
    return {
        "id": name, "object": "model", "created": BASE_CREATED_AT, "owned_by": OWNER, "shutdown_date": None,
    }  # fmt: skip


def route_object(name: str) -> dict[str, Any]:
    """A route as clients see it: one more model."""
    return base_object(name) | {"owned_by": ROUTES}


def _delete(home: Services, name: str) -> None:
    """The row first: what has no name cannot be called, so a crash in between leaves only a folder to clear."""
    row = home.ledger.model(name)
    if row is None:
        if name in home.shared.routing.routes:
            raise Forbidden(
                "a route is not deleted here", got=repr(name), param="model", remedy="Take it out of nanosmith.toml."
            )
        if is_base(name):
            raise Forbidden("a base model cannot be deleted", got=repr(name), param="model")
        raise model_not_found(home.ledger, name)
    digest = _data_digest(home, row)
    home.ledger.delete_model(name)
    if digest not in {_data_digest(home, other) for other in home.ledger.models()}:
        forget(home.home.examples, digest)
    folder, kept = (home.home.bundles / row.bundle).resolve(), home.home.bundles.resolve()
    shared = any(other.bundle == row.bundle for other in home.ledger.models())
    if kept in folder.parents and not shared:  # a bundle that lies elsewhere belongs to the user
        shutil.rmtree(folder, ignore_errors=True)


def _data_digest(home: Services, row: ModelRow) -> str:
    """Of the examples that a model was made from; empty where its bundle cannot be read."""
    try:
        return read_manifest(home.home.bundles / row.bundle).data.digest
    except NanosmithError:
        return ""


routes = [
    Route("/models", list_models, methods=["GET"]),
    Route("/models/{model:path}", retrieve, methods=["GET"]),
    Route("/models/{model:path}", delete, methods=["DELETE"]),
]
