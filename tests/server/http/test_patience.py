"""Bodies that trickle in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from nanosmith.core.limits import MIN_STALL_BYTES
from nanosmith.server.http.errors import SlowBody
from nanosmith.server.http.patience import Patience

STALL_S = 0.2


def read(pieces: AsyncIterator[bytes], stall_s: float = STALL_S) -> bytes:
    """What an app reads of a body that comes in pieces."""
    found = bytearray()

    async def app(scope: Any, receive: Any, _send: Any) -> None:
        async for chunk in Request(scope, receive).stream():
            found.extend(chunk)

    async def receive() -> dict[str, Any]:
        try:
            return {"type": "http.request", "body": await anext(pieces), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None: ...

    asyncio.run(Patience(app, stall_s)({"type": "http"}, receive, send))  # type: ignore[arg-type]
    return bytes(found)


async def pieces(size: int, n: int, pause_s: float) -> AsyncIterator[bytes]:
    for _ in range(n):
        await asyncio.sleep(pause_s)
        yield b"x" * size


def test_a_byte_now_and_then_is_refused() -> None:
    """However often something comes: what counts is how much in the whole time."""
    with pytest.raises(SlowBody, match="too slowly"):
        read(pieces(1, 1000, STALL_S / 20))


def test_silence_is_refused() -> None:
    """A client that sends nothing more."""
    with pytest.raises(SlowBody):
        read(pieces(1, 1, 20.0))


def test_a_slow_body_that_goes_on_is_read() -> None:
    """A body may take many times as long, as long as enough of it comes."""
    assert len(read(pieces(MIN_STALL_BYTES, 12, STALL_S / 4))) == 12 * MIN_STALL_BYTES


def test_only_waiting_counts() -> None:
    """An app that reads late does not make its client slow."""
    bodies = iter([b"a", b"b", b""])

    async def receive() -> dict[str, Any]:
        body = next(bodies)
        return {"type": "http.request", "body": body, "more_body": bool(body)}

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["more_body"]:
            await asyncio.sleep(2 * STALL_S)

    async def send(_message: Any) -> None: ...

    asyncio.run(Patience(app, STALL_S)({"type": "http"}, receive, send))  # type: ignore[arg-type]


def test_the_end_of_the_connection_is_waited_for() -> None:
    """After the body, an app may wait as long as it likes for its client to go."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        message = next(messages)
        if message["type"] == "http.disconnect":
            await asyncio.sleep(2 * STALL_S)
        return message

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    async def send(_message: Any) -> None: ...

    asyncio.run(Patience(app, STALL_S)({"type": "http"}, receive, send))  # type: ignore[arg-type]
