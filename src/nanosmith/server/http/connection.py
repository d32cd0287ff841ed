"""Work for a client that may go away while it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

Result = TypeVar("Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` returns; when the client goes away first, `work` is cancelled, which frees its place in the queue.

    For a request whose body was read. Raises ClientDisconnect.
    """
    working, has_left = asyncio.current_task(), False
    assert working is not None

    def cancel(leaving: asyncio.Task[None]) -> None:
        nonlocal has_left
        has_left = not leaving.cancelled() and working.cancel()

    leaving = asyncio.create_task(left(request.receive))
    leaving.add_done_callback(cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if has_left and working.uncancel() == 0:  # else the server stops, too
            raise ClientDisconnect from None
        raise
    finally:
        leaving.remove_done_callback(cancel)
        leaving.cancel()


async def left(receive: Receive) -> None:
    """Returns when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
