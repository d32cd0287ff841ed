"""The client of remote models, against servers that say exactly what they are told."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nanosmith.core.limits import MAX_HEAD_BYTES
from nanosmith.server.routes import http_client
from nanosmith.server.routes.http_client import MAX_BUFFER_BYTES, Broken, Client, NotHttp, Unreachable

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"content-length: 2\r\n\r\nhi"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


class Peer:
    """A server that answers the requests of all its connections with one answer after the other, and keeps them. An
    answer of None ends the connection, as the last does."""

    def __init__(self, *answers: bytes | None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = list(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self._answers:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(size))
                answer = self._answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if answer.endswith(b"stays"):
                    await asyncio.sleep(60)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(peer: Any, **options: Any) -> AsyncIterator[int]:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def body_of(client: Client, url: str, headers: dict[str, str] | None = None, body: bytes = b"{}") -> bytes:
    connection = await client.ask("POST", url, headers or {}, body)
    try:
        found = bytearray()
        while piece := await connection.piece():
            found += piece
        return bytes(found)
    finally:
        client.leave(connection)


def with_peer(peer: Peer, use: Callable[[Client, str], Awaitable[Any]]) -> Any:
    """What comes of a client's use of a server."""

    async def run() -> Any:
        client = Client()
        async with serving(peer) as port:
            try:
                async with asyncio.timeout(10):
                    return await use(client, f"http://127.0.0.1:{port}/v1/x")
            finally:
                client.close()
                await asyncio.sleep(0)

    return uvloop.run(run())


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (WHOLE, b"hi"), (OK + b"content-length: 0\r\n\r\n", b""), (b"HTTP/1.1 204 No\r\n\r\n", b""),
        (CHUNKED + b"1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n", b"hi"),
        (CHUNKED + b"2\r\nhi\r\n0\r\nx: y\r\n\r\n", b"hi"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + WHOLE, b"hi"),
        (OK + b"connection: close\r\n\r\nhi", b"hi"), (b"HTTP/1.0 200 OK\r\n\r\nhi", b"hi"),
    ],
)  # fmt: skip
def test_answers(answer: bytes, body: bytes) -> None:
    """A body ends with its length, its last chunk, or its connection; what comes before or after it is none of it."""
    assert with_peer(Peer(answer), body_of) == body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, Broken), (b"", Broken), (OK, Broken), (OK + b"content-length: 3\r\n\r\nhi", Broken),
        (CHUNKED + b"2\r\nhi\r\n", Broken), (CHUNKED + b"9\r\nhi", Broken), (b"HTTP/1.1 100 Continue\r\n\r\n", Broken),
        (b"\x00\xff", NotHttp), (b"SSH-2.0-x\r\n", NotHttp), (CHUNKED + b"zz\r\n", NotHttp),
        (OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", NotHttp),
        (OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi", NotHttp),
        (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", NotHttp),
        (OK + b"x: " + b"a" * 2 * MAX_HEAD_BYTES + b"stays", NotHttp),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 10_000 + b"stays", NotHttp),
    ],
)  # fmt: skip
def test_answers_that_are_none(answer: bytes | None, error: type[Exception]) -> None:
    """Half an answer is never a whole one, and what could be read in two ways, or has a head without end, is none."""
    with pytest.raises(error):
        with_peer(Peer(answer), body_of)


def test_nobody_there() -> None:
    """Where there is no connection, nothing was sent."""

    async def use(client: Client, _url: str) -> None:
        for url in ("http://127.0.0.1:1/", "http://name.invalid/", "https://127.0.0.1:1/"):
            with pytest.raises(Unreachable):
                await body_of(client, url)

    with_peer(Peer(), use)


def test_the_request() -> None:
    """Path, Host, length and the caller's headers are sent; a header with a line's end in it is refused."""
    peer = Peer(WHOLE)

    async def use(client: Client, url: str) -> None:
        with pytest.raises(Unreachable, match="character"):
            await body_of(client, url, {"authorization": "Bearer a\r\nx: y"})
        await body_of(client, f"{url} \r\n/é?a=b", {"authorization": "Bearer a"}, b"body")

    with_peer(peer, use)
    line, *headers = peer.requests[0].decode().split("\r\n")
    assert line == "POST /v1/x%20%0D%0A/%C3%A9?a=b HTTP/1.1"
    assert headers[0].startswith("host: 127.0.0.1:")
    assert headers[-4:] == ["authorization: Bearer a", "content-length: 4", "", "body"]


def test_connections_are_kept() -> None:
    """One connection serves requests that come one after the other, with bodies of any kind."""
    peer = Peer(WHOLE, CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", WHOLE)

    async def use(client: Client, url: str) -> None:
        assert [await body_of(client, url) for _ in range(3)] == [b"hi"] * 3

    with_peer(peer, use)
    assert peer.connections == 1


@pytest.mark.parametrize(
    "first", [OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi", WHOLE + WHOLE, WHOLE + b"x"]
)
def test_connections_that_are_not_kept(first: bytes) -> None:
    """After an answer that says so, or that more came with, the next request has its own: it gets no one else's."""
    peer = Peer(first, WHOLE.replace(b"hi", b"me"))

    async def use(client: Client, url: str) -> None:
        assert await body_of(client, url) == b"hi"
        assert await body_of(client, url) == b"me"

    with_peer(peer, use)
    assert peer.connections == 2


def test_what_nobody_asked_for() -> None:
    """Bytes on a connection that waits for its next request end it."""

    class Late(Peer):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asyncio.get_running_loop().call_later(0.05, writer.write, WHOLE.replace(b"hi", b"no"))
            await super().serve(reader, writer)

    peer = Late(WHOLE, WHOLE.replace(b"hi", b"me"))

    async def use(client: Client, url: str) -> None:
        assert await body_of(client, url) == b"hi"
        await asyncio.sleep(0.1)
        assert await body_of(client, url) == b"me"

    with_peer(peer, use)
    assert peer.connections == 2


def test_who_speaks_first() -> None:
    """What comes before a request is no answer to it."""

    class Greeting(Peer):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(WHOLE)
            await asyncio.sleep(0.05)
            await super().serve(reader, writer)

    async def use(client: Client, url: str) -> None:
        with pytest.raises(Broken):
            await body_of(client, url)
        await asyncio.sleep(0.1)  # until the server has seen its end

    with_peer(Greeting(b""), use)


def test_unused_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without a request."""
    monkeypatch.setattr(http_client, "IDLE_S", 0.05)
    peer = Peer(WHOLE, WHOLE)

    async def use(client: Client, url: str) -> None:
        await body_of(client, url)
        await asyncio.sleep(0.1)
        await body_of(client, url)

    with_peer(peer, use)
    assert peer.connections == 2


def test_leaving_early() -> None:
    """Whoever leaves in the middle of an answer, or is cancelled, closes its connection."""
    ended = asyncio.Event()

    class Endless(Peer):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while await reader.read(1000):
                    writer.write(CHUNKED + b"2\r\nhi\r\n")
            writer.close()
            ended.set()

    async def use(client: Client, url: str) -> None:
        connection = await client.ask("POST", url, {}, b"")
        assert await connection.piece() == b"hi"
        waiting = asyncio.ensure_future(connection.piece())
        await asyncio.sleep(0.01)
        waiting.cancel()
        client.leave(connection)
        await ended.wait()

    with_peer(Endless(), use)


def test_who_reads_slowly() -> None:
    """The provider has to wait, so that little of a large answer is in memory; it is read to its end nevertheless."""
    size = 64 * MAX_BUFFER_BYTES
    most = 0

    async def use(client: Client, url: str) -> int:
        nonlocal most
        connection = await client.ask("POST", url, {}, b"")
        await asyncio.sleep(0.2)
        got = 0
        while piece := await connection.piece():
            got, most = got + len(piece), max(most, len(piece))
        client.leave(connection)
        return got

    assert with_peer(Peer(OK + b"content-length: %d\r\n\r\n" % size + bytes(size)), use) == size
    assert most < 4 * MAX_BUFFER_BYTES


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of 127.0.0.1, made now, and trusted in this test alone; with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "both.pem").write_bytes(made.public_bytes(pem) + secret)
    context = ssl.create_default_context(cafile=tmp_path / "both.pem")
    monkeypatch.setattr(http_client, "_tls", lambda: context)
    return tmp_path / "both.pem"


class Tunnel:
    """A proxy that connects its clients to the port that they name."""

    def __init__(self, status: int = 200) -> None:
        self.heads: list[str] = []
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        writer.write(b"HTTP/1.1 %d X\r\n\r\n" % self._status)
        there, back = await asyncio.open_connection("127.0.0.1", int(head.split()[1].rpartition(":")[2]))

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))


def secured(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_tls(certificate: Path) -> None:
    """A certificate that is trusted is needed, for the very address."""
    peer = Peer(WHOLE, WHOLE)

    async def run() -> None:
        client = Client()
        async with serving(peer, ssl=secured(certificate)) as port:
            assert [await body_of(client, f"https://127.0.0.1:{port}/") for _ in range(2)] == [b"hi"] * 2
            with pytest.raises(Unreachable, match="SSLCertVerificationError"):
                await body_of(client, f"https://localhost:{port}/")
        client.close()
        await asyncio.sleep(0.01)

    uvloop.run(run())
    assert peer.connections == 1


def proxied(monkeypatch: pytest.MonkeyPatch, variable: str, url: str) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, url)
    http_client._proxy.cache_clear()
    http_client._request.cache_clear()


@pytest.mark.parametrize("status", [200, 407])
def test_tls_through_a_proxy(certificate: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """A proxy is told where to, and who asks; what is asked it cannot read. One that refuses is no connection."""
    peer, tunnel = Peer(WHOLE, WHOLE), Tunnel(status)

    async def run() -> list[bytes]:
        client = Client()
        async with serving(peer, ssl=secured(certificate)) as port, serving(tunnel) as proxy:
            proxied(monkeypatch, "https_proxy", f"http://me:se%20cret@127.0.0.1:{proxy}")
            try:
                return [await body_of(client, f"https://127.0.0.1:{port}/") for _ in range(2)]
            finally:
                client.close()
                await asyncio.sleep(0.01)

    if status == 200:
        assert uvloop.run(run()) == [b"hi"] * 2
    else:
        with pytest.raises(Unreachable):
            uvloop.run(run())
    assert len(tunnel.heads) == 1
    assert tunnel.heads[0].startswith("CONNECT 127.0.0.1:")
    assert "proxy-authorization: Basic bWU6c2UgY3JldA==\r\n" in tunnel.heads[0]


def test_plain_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TLS the proxy itself is asked, for the whole address."""
    proxy = Peer(WHOLE)

    async def use(client: Client, url: str) -> None:
        proxied(monkeypatch, "http_proxy", url.removesuffix("/v1/x"))
        assert await body_of(client, "http://models.example/v1/x") == b"hi"

    with_peer(proxy, use)
    assert proxy.requests[0].startswith(b"POST http://models.example/v1/x HTTP/1.1\r\nhost: models.example\r\n")
