"""The answers to the lines of a batch: each is a request to the live endpoint, in this process, without a socket.

What is in front of the endpoints of the server is not in front of these: no key is asked for, as it was when the batch
was made, and no limit per minute counts, as OpenAI's batches have limits of their own.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nanosmith.core.errors import NanosmithError
from nanosmith.jobs.batches.answers import Answer
from nanosmith.jobs.batches.input import Line
from nanosmith.jobs.batches.rows import KEY
from nanosmith.server.chat.request import refused
from nanosmith.server.embeddings import embeddings
from nanosmith.server.http.errors import error_body
from nanosmith.server.http.handlers import on_nanosmith_error
from nanosmith.server.responses import responses
from nanosmith.server.routes import asking
from nanosmith.server.services import PROJECT, Services, Shared
from nanosmith.server.watch.middleware import RequestContext
from nanosmith.server.watch.tally import tally_of
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document

RESOURCES = (asking, responses, embeddings)
ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/decisions", "/v1/embeddings")
PASSING = (429, 503)
"""Refusals that pass by themselves, unless they say otherwise: asked again after each of PAUSES_S."""
PAUSES_S = (0.5, 2.0, 5.0)


_rows: ContextVar[list[msgspec.Struct]] = ContextVar("rows that wait")
"""Those of the request that is being answered, also on the threads that it uses."""


class Waiting(Ledger):
    """A ledger whose new rows wait for the answer that they belong to: both become durable in one transaction. So
    nothing is stored twice when a line is answered again after a crash, and no line costs a transaction."""

    def add(self, *rows: msgspec.Struct) -> None:
        _rows.get().extend(rows)


class _Streamed(msgspec.Struct):
    stream: Any = None


class Keyed:
    """Requests are of the key that made the batch, whose budgets they are counted to."""

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tally_of(scope).key = self._key
        await self._app(scope, receive, send)


@contextmanager
def opened(ledger: Ledger, home: Home, row: Document) -> Iterator[Callable[[Line], Future[Answer]]]:
    """What answers the lines of a batch, several at a time, on a thread of its own."""
    app, endpoint = _app(ledger, home, row.body.get(KEY)), row.body["endpoint"]
    with start_blocking_portal() as portal:
        loop = portal.call(asyncio.get_running_loop)
        # Not portal.start_task_soon, which waits until the loop takes it: longer than an answer takes.
        with closing(app.state.services.shared):
            yield lambda line: asyncio.run_coroutine_threadsafe(_answer(app, home.project, endpoint, line), loop)
            portal.call(app.state.services.shared.routing.close)


def _app(ledger: Ledger, home: Home, key: str | None) -> Starlette:
    """The endpoints alone."""
    shared = Shared(home, ledger)
    own = Services(home, Waiting(ledger.database, ledger.project), shared)
    shared.of_project[home.project] = own
    routes = [route for resource in RESOURCES for route in resource.routes]
    app = Starlette(
        routes=[Mount("/v1", Router(routes))],
        middleware=[Middleware(RequestContext), Middleware(Keyed, key=key)],
        exception_handlers={NanosmithError: on_nanosmith_error},
    )
    app.state.services = own
    return app


async def _answer(app: Starlette, project: str, endpoint: str, line: Line) -> Answer:
    if msgspec.json.decode(line.body, type=_Streamed).stream is True:
        error = refused("stream", "a batch has no streams", "stream false")
        body = error_body(str(error), status=error.http_status, code=error.code, param=error.param)
        return Answer(error.http_status, f"req_{uuid.uuid4().hex}", msgspec.json.encode(body))
    for pause_s in PAUSES_S:
        answer, may_pass = await _asked(app, _scope(project, endpoint), line.body)
        if not may_pass:
            return answer
        await asyncio.sleep(pause_s)
    return (await _asked(app, _scope(project, endpoint), line.body))[0]


def _scope(project: str, endpoint: str) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": endpoint, "raw_path": endpoint.encode(), "root_path": "", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": None, "server": None, PROJECT: project,
    }  # fmt: skip


async def _asked(app: Starlette, scope: dict[str, Any], content: bytes) -> tuple[Answer, bool]:
    """One request and its whole response (https://asgi.readthedocs.io/en/latest/specs/www.html), and whether it is a
    refusal that may pass."""
    sent = [{"type": "http.request", "body": content, "more_body": False}]
    received: list[Message] = []
    rows: list[msgspec.Struct] = []
    _rows.set(rows)  # each answer is a task of its own, with a context of its own

    async def receive() -> Message:
        if not sent:
            await asyncio.Event().wait()  # the client never leaves
        return sent.pop()

    async def send(message: Message) -> None:
        received.append(message)

    await app(scope, receive, send)
    start, *chunks = received
    headers = Headers(raw=start["headers"])
    body = b"".join(chunk.get("body", b"") for chunk in chunks)
    may_pass = start["status"] in PASSING and headers.get("x-should-retry") != "false"
    return Answer(start["status"], headers["x-request-id"], body, tuple(rows)), may_pass
