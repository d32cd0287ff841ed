"""What happens to every request: an id, the headers that OpenAI sends, and one log line."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nanosmith.core.money import plain_usd
from nanosmith.jobs.names import ORGANIZATION
from nanosmith.server.access.limits import rate_headers
from nanosmith.server.http.errors import TryAgain
from nanosmith.server.http.event_stream import STOPPING
from nanosmith.server.http.handlers import error_response, internal_error
from nanosmith.server.watch.tally import TALLY, Tally

ALWAYS = ((b"openai-version", b"2020-10-01"), (b"openai-organization", ORGANIZATION.encode()))
CLIENT_GONE = 499
COST = b"x-nanosmith-cost"
"""What an answer cost, in US dollars, as a plain decimal."""
SHOWN_PATH_CHARS = 256
SHOWN = ("project", "key", "model", "tokens")
log = logging.getLogger("nanosmith.server")


class RequestContext:
    """Gives each request an id, adds OpenAI's headers to its response, logs one line, and hides bugs from clients. One
    that the server's end cuts off is answered with 503.

    The line is JSON: {"id", "method", "path", "status", "ms"} and, where they are known, {"project", "key" (its id),
    "model", "tokens", "usd" (a plain decimal, as text)}. It has no bodies, queries or keys.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tally, began = Tally(f"req_{secrets.token_hex(16)}"), time.perf_counter()
        scope[TALLY] = tally

        async def send_tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                tally.status = message["status"]
                _tag(message, tally, began)
            await send(message)

        try:
            await self._app(scope, receive, send_tagged)
        except ClientDisconnect:
            tally.status = CLIENT_GONE
        except asyncio.CancelledError:
            if not tally.status:
                await error_response(TryAgain(STOPPING, remedy="Send it again."))(scope, receive, send_tagged)
            raise
        except Exception:
            log.exception("request %s failed", tally.id)
            if tally.status:
                raise  # the response has begun: only a broken connection can tell the client
            await internal_error(tally.id)(scope, receive, send_tagged)
        finally:
            log.info(_line(scope, tally, began))


def _tag(message: Message, tally: Tally, began: float) -> None:
    message["headers"] = [
        *message["headers"],
        (b"x-request-id", tally.id.encode()),
        (b"openai-processing-ms", b"%d" % round((time.perf_counter() - began) * 1000)),
        *ALWAYS,
        *([] if tally.cost is None else [(COST, plain_usd(tally.cost).encode())]),
        *((name.encode(), value.encode()) for name, value in rate_headers(tally.meters)),
    ]


def _line(scope: Scope, tally: Tally, began: float) -> str:
    ms = round((time.perf_counter() - began) * 1000, 1)
    row: dict[str, Any] = {
        "id": tally.id,
        "method": scope["method"],
        "path": scope["path"][:SHOWN_PATH_CHARS],
        "status": tally.status,
        "ms": ms,
    }
    row |= {name: value for name in SHOWN if (value := getattr(tally, name))}
    if tally.cost is not None:
        row["usd"] = plain_usd(tally.cost)
    return msgspec.json.encode(row).decode()
