"""HTTP to remote models: one pool of connections, nothing followed, nothing kept but the connections.

aiohttp, as it takes 0.2 ms of processor time per request where httpx takes 2 (docs/decisions/0019-routes.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from nanosmith.core.errors import MissingExtra
from nanosmith.predict.endpoint.catalogue import Remote
from nanosmith.predict.endpoint.dialects.dialect import Call, garbage
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.version import __version__

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

MAX_REPLY_BYTES = 64 * 1024**2
PIECE_BYTES = 2**16
IDLE_S = 15.0
"""How long an unused connection is kept; below what servers usually keep theirs."""


class Transport:
    """Made on the event loop that uses it, and closed there."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None

    @asynccontextmanager
    async def posted(self, remote: Remote, call: Call) -> AsyncIterator[ClientResponse]:
        """The response to a request, from its headers on; leaving early closes its connection. Raises EndpointError."""
        from aiohttp import ClientError

        session = self._session or self._opened()
        base_url, body = remote.provider.base_url, msgspec.json.encode(call.body)
        headers = {**call.headers, "content-type": "application/json"}
        try:
            async with session.request(
                call.method,
                base_url + call.path,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=_proxy(base_url),
            ) as response:
                yield response
        except (ClientError, OSError) as error:
            raise _failure(remote, error) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> ClientSession:
        """No timeouts of its own: whoever asks has a deadline. Not `trust_env`, which hands each request to a thread
        that looks for a netrc file."""
        try:
            from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
        except ModuleNotFoundError as error:
            raise MissingExtra("aiohttp", "serve") from error
        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=IDLE_S), timeout=ClientTimeout(total=None),
            cookie_jar=DummyCookieJar(), headers={"user-agent": f"nanosmith/{__version__}"},
        )  # fmt: skip
        return self._session


@cache
def _proxy(base_url: str) -> str | None:
    """That of the environment (HTTPS_PROXY, NO_PROXY, …), as it was when the first request was sent."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(base_url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


async def whole_body(remote: Remote, response: ClientResponse) -> bytes:
    """Raises EndpointError for one that has no end."""
    length = response.content_length
    if length is not None and length <= MAX_REPLY_BYTES:
        return await response.read()
    body = bytearray()
    async for piece in response.content.iter_chunked(PIECE_BYTES):
        body += piece
        if len(body) > MAX_REPLY_BYTES:
            raise garbage(remote, f"more than {MAX_REPLY_BYTES} bytes")
    return bytes(body)


def _failure(remote: Remote, error: Exception) -> EndpointError:
    from aiohttp import ClientConnectionError, ClientConnectorDNSError, ClientConnectorError, ClientPayloadError

    if isinstance(error, ClientConnectorError | ClientConnectorDNSError):
        return EndpointError("unavailable", f"{remote.name} cannot be reached: {type(error).__name__}")
    if isinstance(error, ClientPayloadError | ClientConnectionError | OSError):
        return EndpointError("broken_stream", f"the connection of {remote.name} ended before its answer")
    return garbage(remote, type(error).__name__)
