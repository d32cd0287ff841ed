"""The app: routes, middleware and error handlers put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import NanosmithError
from nanosmith.server import missing, moderations, webhooks
from nanosmith.server.access.auth import Gate
from nanosmith.server.access.keys import KeyRing
from nanosmith.server.access.limits import Limiter
from nanosmith.server.batches import batches
from nanosmith.server.chat import export as completion_export
from nanosmith.server.chat import stored as stored_completions
from nanosmith.server.embeddings import embeddings
from nanosmith.server.evals import evals
from nanosmith.server.evals import runs as eval_runs
from nanosmith.server.files import files, uploads
from nanosmith.server.fine_tuning import graders, permissions
from nanosmith.server.fine_tuning import jobs as fine_tuning
from nanosmith.server.http.handlers import on_http_exception, on_nanosmith_error
from nanosmith.server.http.patience import Patience
from nanosmith.server.http.wire import json_response
from nanosmith.server.models import models
from nanosmith.server.responses import responses
from nanosmith.server.routes import asking
from nanosmith.server.routes import status as route_status
from nanosmith.server.services import open_services
from nanosmith.server.watch import metrics, tracing
from nanosmith.server.watch.metrics import Measured, Metrics
from nanosmith.server.watch.middleware import RequestContext
from nanosmith.store.home import Home
from nanosmith.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from nanosmith.jobs.supervisor import Supervisor

RESOURCES = (
    asking, responses, embeddings, route_status,
    files, uploads, completion_export, stored_completions, fine_tuning, permissions, graders, models, moderations,
    batches, evals, eval_runs, webhooks,
)  # fmt: skip
"""One module each, with its `routes`; where two match a path, the first answers. What is asked most comes first."""


def create_app(
    home: Home, *, supervisor: Supervisor | None = None, api_key: str | None = None, spans: TracerProvider | None = None
) -> Starlette:
    """The API over a data folder. With `api_key`, or keys in the ledger, every route but /health asks for one. The
    caller starts and stops the supervisor, which the app only wakes. A span of each request goes to `spans`, which the
    app closes."""
    shared, counted = open_services(home, supervisor), Metrics()
    calls = [*(route for resource in RESOURCES for route in resource.routes), *missing.routes]
    app = Starlette(
        routes=[
            *(Route(f"/v1{call.path}", call.endpoint, methods=call.methods) for call in calls),
            Route("/health", health),
            *metrics.routes,
        ],
        middleware=[
            *([Middleware(tracing.Traced, provider=spans)] if spans else []),
            Middleware(Measured, metrics=counted),
            Middleware(RequestContext),
            Middleware(Patience),
            Middleware(Gate, keys=KeyRing(shared.ledger, api_key), limiter=Limiter()),
        ],
        exception_handlers={NanosmithError: on_nanosmith_error, HTTPException: on_http_exception},
        lifespan=_close,
    )
    app.router.redirect_slashes = False
    app.state.services, app.state.metrics, app.state.spans = shared, counted, spans
    return app


async def health(_request: Request) -> Response:
    return json_response({"status": "ok", "version": __version__})


@asynccontextmanager
async def _close(app: Starlette) -> AsyncIterator[None]:
    yield
    await app.state.services.shared.routing.close()
    await run_in_threadpool(app.state.services.shared.close)
    app.state.services.ledger.close()
    if app.state.spans is not None:
        await run_in_threadpool(tracing.close, app.state.spans)
