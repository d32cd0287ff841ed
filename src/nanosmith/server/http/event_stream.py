"""Server-sent events of an answer that takes its time (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nanosmith.server.http.connection import left

HEADERS = {"cache-control": "no-cache"}
STOPPING = "the server stops"


class EventStream(Response):
    """Sends `events` as they come. When the client goes away they are closed at once; when the server stops, `last` is
    sent, an event that says so: half an answer must not look like a whole one. `end` is called in any case."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes],
        *,
        last: Callable[[], bytes],
        end: Callable[[], None],
        headers: Mapping[str, str],
    ) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self._last = last
        self._end = end
        self.init_headers({**headers, **HEADERS})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises ClientDisconnect."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending, leaving = asyncio.ensure_future(self._send(send)), asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ClientDisconnect
            sending.result()
        except asyncio.CancelledError:
            sending.cancel()
            await asyncio.wait((sending,))
            await send(_body(self._last(), more=True))
            await send(_body(b"", more=False))
            raise
        finally:
            sending.cancel()
            leaving.cancel()
            self._end()

    async def _send(self, send: Send) -> None:
        async for event in self._events:
            await send(_body(event, more=True))
        await send(_body(b"", more=False))


def _body(content: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": content, "more_body": more}
