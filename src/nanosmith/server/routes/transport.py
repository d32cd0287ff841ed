"""HTTP to remote models, and what its failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from nanosmith.predict.endpoint.catalogue import Remote
from nanosmith.predict.endpoint.dialects.dialect import Call, garbage
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.server.routes.http_client import PLAIN, Client, Connection, NotHttp, Unreachable

MAX_REPLY_BYTES = 64 * 1024**2


class Transport:
    """Made on the event loop that uses it, and closed there."""

    def __init__(self) -> None:
        self._client = Client()

    @asynccontextmanager
    async def posted(self, remote: Remote, call: Call) -> AsyncIterator[Connection]:
        """The answer to a request, from its headers on; leaving early closes its connection. Raises EndpointError."""
        url, headers = remote.provider.base_url + call.path, {**call.headers, "content-type": "application/json"}
        try:
            connection = await self._client.ask(call.method, url, headers, msgspec.json.encode(call.body))
            try:
                if connection.headers.get("content-encoding", PLAIN) != PLAIN:
                    raise garbage(remote, "a packed answer, which nobody asked for")
                yield connection
            finally:
                self._client.leave(connection)
        except Unreachable as error:
            raise EndpointError("unavailable", f"{remote.name} cannot be reached: {error}") from error
        except NotHttp as error:
            raise garbage(remote, f"no HTTP, {error}") from error
        except ConnectionError as error:
            raise EndpointError("broken_stream", f"the connection of {remote.name} ended before its answer") from error

    async def close(self) -> None:
        self._client.close()
        await asyncio.sleep(0)  # when the sockets are closed


async def whole_body(remote: Remote, answer: Connection) -> bytes:
    """Raises EndpointError for one that has no end."""
    pieces, size_bytes = [], 0
    while piece := await answer.piece():
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > MAX_REPLY_BYTES:
            raise garbage(remote, f"more than {MAX_REPLY_BYTES} bytes")
    return b"".join(pieces)
