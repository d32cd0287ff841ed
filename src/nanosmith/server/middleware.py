"""What happens to every request: an id, the headers that OpenAI sends, one log line, and the key."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nanosmith.jobs.names import ORGANIZATION
from nanosmith.server.errors import Forbidden, Unauthorized
from nanosmith.server.handlers import error_response, internal_error

API_VERSION = "2020-10-01"
OPEN_PATHS = ("/health",)
CLIENT_GONE = 499
log = logging.getLogger("nanosmith.server")


class RequestContext:
    """Gives each request an id, adds OpenAI's headers to its response, logs one line, and hides bugs from clients.

    The line is JSON and has neither bodies nor keys: {"id", "method", "path", "status", "ms"}.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began, status = f"req_{uuid.uuid4().hex}", time.perf_counter(), 0

        async def send_tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _tag(message, request_id, began)
            await send(message)

        try:
            await self._app(scope, receive, send_tagged)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception:
            log.exception("request %s failed", request_id)
            if status:
                raise  # the response has begun: only a broken connection can tell the client
            await internal_error(request_id)(scope, receive, send_tagged)
        finally:
            log.info(_line(scope, request_id, status, began))


def _tag(message: Message, request_id: str, began: float) -> None:
    headers = MutableHeaders(scope=message)
    headers["x-request-id"] = request_id
    headers["openai-processing-ms"] = str(round((time.perf_counter() - began) * 1000))
    headers["openai-version"] = API_VERSION
    headers["openai-organization"] = ORGANIZATION


def _line(scope: Scope, request_id: str, status: int, began: float) -> str:
    ms = round((time.perf_counter() - began) * 1000, 1)
    row: dict[str, Any] = {
        "id": request_id,
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": ms,
    }
    return msgspec.json.encode(row).decode()


class Gate:
    """With a key: only requests that bring it. Without: only requests that a program on this machine made.

    Without a key the server listens on loopback alone, but a web page in a browser of this machine could still reach
    it, from its own origin or by a name that it lets point to 127.0.0.1; both are refused.
    """

    def __init__(self, app: ASGIApp, api_key: str | None = None) -> None:
        self._app = app
        self._key = api_key.encode() if api_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            headers = Headers(scope=scope)
            error = _no_foreign_page(headers) if self._key is None else _wrong_key(headers, self._key)
            if error is not None:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _wrong_key(headers: Headers, key: bytes) -> Unauthorized | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        return Unauthorized("no API key was given", allowed="the header Authorization: Bearer KEY")
    if not hmac.compare_digest(given.strip().encode("latin-1"), key):
        return Unauthorized(
            "the API key is wrong", remedy="It is the value of NANOSMITH_API_KEY where the server was started."
        )
    return None


def _no_foreign_page(headers: Headers) -> Forbidden | None:
    host = urlsplit(f"//{headers.get('host', 'localhost')}").hostname
    origin = headers.get("origin")
    if is_local(host) and (origin is None or is_local(urlsplit(origin).hostname)):
        return None
    return Forbidden(
        "a server without a key answers programs on its own machine alone",
        got=f"host {host!r}, origin {origin!r}",
        remedy="Set NANOSMITH_API_KEY where the server is started.",
    )


def is_local(host: str | None) -> bool:
    """A loopback address, localhost, or a name without a dot, which the public DNS cannot hold."""
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host or host.endswith(".localhost")
