"""Bodies that trickle in: what is waited for too long is refused, so that a client holds a thread for a short time."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nanosmith.core.limits import MAX_STALL_S, MIN_STALL_BYTES
from nanosmith.server.http.errors import SlowBody


class Patience:
    """Refuses a body of which less than MIN_STALL_BYTES came while it was waited for MAX_STALL_S. Only waiting counts,
    not what the server does with the bytes."""

    def __init__(self, app: ASGIApp, stall_s: float = MAX_STALL_S) -> None:
        self._app = app
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = _Waiting(receive, self._stall_s)
        await self._app(scope, receive, send)


class _Waiting:
    """A `receive` that raises SlowBody; what comes after the body, such as the end of the connection, may take long."""

    def __init__(self, receive: Receive, stall_s: float) -> None:
        self._receive = receive
        self._stall_s = stall_s
        self._waited_s = 0.0
        self._got_bytes = 0
        self._in_body = True

    async def __call__(self) -> Message:
        if not self._in_body:
            return await self._receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._stall_s - self._waited_s):
                message = await self._receive()
        except TimeoutError:
            raise SlowBody(
                "the body comes too slowly", got=f"{self._got_bytes} bytes in {self._stall_s:g} s",
                allowed=f"at least {MIN_STALL_BYTES} bytes in {self._stall_s:g} s",
            ) from None  # fmt: skip
        self._in_body = message.get("more_body", False)
        if self._in_body:
            self._note(len(message.get("body", b"")), time.monotonic() - began)
        return message

    def _note(self, got_bytes: int, waited_s: float) -> None:
        self._waited_s += waited_s
        self._got_bytes += got_bytes
        if self._got_bytes >= MIN_STALL_BYTES:
            self._waited_s, self._got_bytes = 0.0, 0
