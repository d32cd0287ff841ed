"""HTTP/1.1 to remote models, on httptools: one request at a time on a connection, and connections that are kept.

It follows nothing, keeps no cookies and asks for nothing packed (docs/decisions/0027-gateway-speed.md).
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import NamedTuple, cast
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohappyeyeballs import start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from nanosmith.core.limits import MAX_HEAD_BYTES
from nanosmith.version import __version__

MAX_BUFFER_BYTES = 256 * 1024
"""Of an answer that nobody reads: then the provider has to wait."""
IDLE_S = 15.0
"""How long an unused connection is kept; below what servers usually keep theirs."""
SECOND_ADDRESS_S = 0.25
"""After this time without a connection the host's next address is tried, too (RFC 8305)."""
PATH_CHARS = "/?&=%:@+,;$!*'()~"
NOT_IN_HEADERS = re.compile(r"[^\t -~\x80-\xff]")
PORTS = {"http": 80, "https": 443}
OK = 200
PLAIN = "identity"
"""The content encoding of what is not packed."""


class Peer(NamedTuple):
    """`proxy`: the address of the one in between."""

    scheme: str
    host: str
    port: int
    proxy: str | None


class Unreachable(ConnectionError):
    """There is no connection, or no head for such a request, so nothing was sent."""


class Broken(ConnectionError):
    """The connection ended before the answer did."""


class NotHttp(ConnectionError):
    """What came is no HTTP, or has a head without end."""


class Connection(asyncio.Protocol):
    """One connection. `status` is 0 until the answer's head is there; `headers` have lower-case names."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.transport: asyncio.Transport | None = None
        self.idle: asyncio.TimerHandle | None = None
        """Closes it when nobody has used it for long."""
        self._coming: asyncio.Future[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._parser = HttpResponseParser(self)
        self._is_whole, self._may_stay, self._is_paused = True, False, False  # nothing is awaited
        self._next()

    def _next(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._size_bytes = self._idle_bytes = 0
        self._error: ConnectionError | None = None

    @property
    def is_free(self) -> bool:
        """Whether it may be used for another request."""
        is_open = self.transport is not None and not self.transport.is_closing()
        return is_open and self._may_stay and not self._is_paused

    def send(self, request: bytes) -> None:
        self._is_whole = self._may_stay = False
        self._next()
        if self.transport is None or self.transport.is_closing():
            self._error = Broken("the connection is closed")
        else:
            self.transport.write(request)

    async def head(self) -> None:
        """Wait for the status and the headers. Raises ConnectionError."""
        while not self.status:
            await self._more()

    async def piece(self) -> bytes:
        """What came of the body since the last piece; empty at its end. Raises ConnectionError."""
        while not self._pieces:
            if self._is_whole:
                return b""
            await self._more()
        found = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._size_bytes = [], 0
        if self._is_paused and self.transport is not None:
            self.transport.resume_reading()
            self._is_paused = False
        return found

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Go on with TLS, through the tunnel that a proxy made. Raises OSError."""
        if self.transport is None or self._pieces:
            raise Broken("the proxy's answer to CONNECT does not end")
        made = await asyncio.get_running_loop().start_tls(self.transport, self, context, server_hostname=host)
        self.transport = cast(asyncio.Transport, made)
        self._reset()

    def close(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
        if self.transport is not None:
            self.transport.abort()

    async def _more(self) -> None:
        """Wait for whatever comes next. Raises what ended the connection."""
        if self._error is not None:
            raise self._error
        self._coming = asyncio.get_running_loop().create_future()
        await self._coming

    def _wake(self) -> None:
        if self._coming is not None and not self._coming.done():
            self._coming.set_result(None)

    # of asyncio
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none of asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        has_length = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self.status and not has_length and exc is None:
            self._is_whole = True  # its end is that of the connection
        elif not self._is_whole:
            self._error = self._error or Broken("the connection ended before the answer")
        self._wake()

    def data_received(self, data: bytes) -> None:
        """What comes when no answer is awaited ends the connection: it could pass for the next one."""
        self._idle_bytes += len(data)
        try:
            if self._is_whole:
                raise HttpParserError("more than the answer")
            self._parser.feed_data(data)
            if self._idle_bytes > MAX_HEAD_BYTES:
                raise HttpParserError("a head without end")
        except (HttpParserError, HttpParserUpgrade) as error:
            self._may_stay = False
            self._error = None if self._is_whole else NotHttp(str(error))
            self.close()
        self._wake()

    # of httptools
    def on_message_begin(self) -> None:
        if self._is_whole:
            raise HttpParserError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # else it is a trailer
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < OK:  # such as 103: the answer is still to come
            self.headers = {}
            return
        self.status = status
        self._idle_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        self._pieces.append(body)
        self._size_bytes += len(body)
        if self._size_bytes > MAX_BUFFER_BYTES and not self._is_paused and self.transport is not None:
            self.transport.pause_reading()
            self._is_paused = True

    def on_message_complete(self) -> None:
        if self.status:
            self._is_whole, self._may_stay = True, self._parser.should_keep_alive()


class Client:
    """Connections to all peers. Made on the event loop that uses it, and closed there. It has no timeouts: whoever asks
    has a deadline.

    connection = await client.ask("POST", url, headers, body)
    try:
        …                                               # connection.piece()
    finally:
        client.leave(connection)
    """

    def __init__(self) -> None:
        self._free: dict[Peer, list[Connection]] = {}

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Connection:
        """The connection, once the head of the answer is there. Raises Unreachable, Broken, NotHttp."""
        try:
            peer, head = _request(method, url, tuple(headers.items()))
        except ValueError as error:
            raise Unreachable(str(error)) from error
        connection = self._taken(peer) or await _connected(peer)
        try:
            connection.send(b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body))
            await connection.head()
        except BaseException:
            connection.close()
            raise
        return connection

    def leave(self, connection: Connection) -> None:
        """Keep it for the next request; close it where the answer was not read to its end."""
        if not connection.is_free:
            connection.close()
            return
        connection.idle = asyncio.get_running_loop().call_later(IDLE_S, self._forget, connection)
        self._free.setdefault(connection.peer, []).append(connection)

    def close(self) -> None:
        for free in self._free.values():
            for connection in free:
                connection.close()
        self._free.clear()

    def _taken(self, peer: Peer) -> Connection | None:
        """The one that was used last."""
        free = self._free.get(peer)
        while free:
            connection = free.pop()
            if connection.idle is not None:
                connection.idle.cancel()
            if connection.is_free:
                return connection
        return None

    def _forget(self, connection: Connection) -> None:
        self._free[connection.peer].remove(connection)
        connection.close()


async def _connected(peer: Peer) -> Connection:
    """Raises Unreachable."""
    try:
        return await (_direct(peer) if peer.proxy is None or peer.scheme == "http" else _tunnelled(peer, peer.proxy))
    except OSError as error:
        raise Unreachable(type(error).__name__) from error


async def _direct(peer: Peer) -> Connection:
    """To the host, or to the proxy that will ask it."""
    if peer.proxy is not None:
        return await _opened(peer, *_address(peer.proxy))
    return await _opened(peer, peer.host, peer.port, _tls() if peer.scheme == "https" else None)


async def _tunnelled(peer: Peer, proxy: str) -> Connection:
    """Through a proxy that sees nothing of what is said (RFC 9110, 9.3.6)."""
    connection = await _opened(peer, *_address(proxy))
    try:
        target = f"[{peer.host}]:{peer.port}" if ":" in peer.host else f"{peer.host}:{peer.port}"
        connection.send(_head("CONNECT", target, (("host", target), *_proxy_key(proxy))) + b"\r\n")
        await connection.head()
        if connection.status != OK:
            raise OSError(f"the proxy answered with status {connection.status}")
        await connection.secure(_tls(), peer.host)
    except BaseException:
        connection.close()
        raise
    return connection


async def _opened(peer: Peer, host: str, port: int, tls: ssl.SSLContext | None = None) -> Connection:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sock = await start_connection(found, happy_eyeballs_delay=SECOND_ADDRESS_S, interleave=1, loop=loop)
    name = host if tls is not None else None
    return (await loop.create_connection(lambda: Connection(peer), sock=sock, ssl=tls, server_hostname=name))[1]


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@lru_cache(256)
def _request(method: str, url: str, headers: tuple[tuple[str, str], ...]) -> tuple[Peer, bytes]:
    """Who is asked, and the head of the request but for its end. Raises ValueError for what no head can have."""
    parts = urlsplit(url)
    proxy = _proxy(parts.scheme, parts.netloc)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    target = quote(url.partition(parts.netloc)[2] or "/", safe=PATH_CHARS)
    at = parts.netloc.encode("idna").decode()
    own = [("host", at), ("user-agent", f"nanosmith/{__version__}"), ("accept-encoding", PLAIN)]
    if proxy is not None and parts.scheme == "http":
        target = f"http://{at}{target}"
        own += _proxy_key(proxy)
    return Peer(parts.scheme, host, port, proxy), _head(method, target, (*own, *headers))


def _head(method: str, target: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Raises ValueError for a line that would be two."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if any(map(NOT_IN_HEADERS.search, lines)):
        raise ValueError("a header has a character that none may have")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


@cache
def _proxy(scheme: str, netloc: str) -> str | None:
    """That of the environment (HTTPS_PROXY, NO_PROXY, …), as it was when the first request was sent."""
    return None if proxy_bypass(netloc) else getproxies().get(scheme)


def _address(proxy: str) -> tuple[str, int]:
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or PORTS["http"]


def _proxy_key(proxy: str) -> list[tuple[str, str]]:
    """The header with the name and password in a proxy's URL."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return []
    said = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [("proxy-authorization", f"Basic {b64encode(said.encode()).decode()}")]
