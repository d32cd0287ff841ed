"""The app: routes, middleware and error handlers put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from nanosmith.core.errors import NanosmithError
from nanosmith.server import chat, decisions, files, fine_tuning, missing, models
from nanosmith.server.handlers import on_http_exception, on_nanosmith_error
from nanosmith.server.middleware import Gate, RequestContext
from nanosmith.server.services import Services
from nanosmith.server.wire import json_response
from nanosmith.store.home import Home
from nanosmith.version import __version__

if TYPE_CHECKING:
    from nanosmith.jobs.supervisor import Supervisor


def create_app(home: Home, *, supervisor: Supervisor | None = None, api_key: str | None = None) -> Starlette:
    """The API over a data folder. With `api_key`, every route but /health asks for it. The caller starts and stops the
    supervisor; the app only wakes it."""
    resources = [*files.routes, *fine_tuning.routes, *models.routes, *chat.routes, *decisions.routes]
    app = Starlette(
        routes=[
            Route("/health", health),
            Mount("/v1", Router([*resources, *missing.routes], redirect_slashes=False)),
        ],
        middleware=[Middleware(RequestContext), Middleware(Gate, api_key=api_key)],
        exception_handlers={NanosmithError: on_nanosmith_error, HTTPException: on_http_exception},
        lifespan=_close_ledger,
    )
    app.router.redirect_slashes = False
    app.state.services = Services(home, supervisor)
    return app


async def health(_request: Request) -> Response:
    return json_response({"status": "ok", "version": __version__})


@asynccontextmanager
async def _close_ledger(app: Starlette) -> AsyncIterator[None]:
    yield
    app.state.services.ledger.close()
