"""Requests as bytes: what is answered, what is refused, and when a connection ends."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nanosmith.core.limits import MAX_HEAD_BYTES, MAX_PIPELINED_REQUESTS

HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
BODY = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "refund"}]}).encode()
JSON = b"content-type: application/json\r\n"


@pytest.fixture
def link(served: Any) -> Iterator[socket.socket]:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as link:
        yield link


def request(*headers: bytes, line: bytes = b"POST /v1/chat/completions HTTP/1.1", body: bytes = BODY) -> bytes:
    """With a Host and the length of the body."""
    length = b"content-length: %d" % len(body)
    return b"\r\n".join([line, b"host: localhost", length, *headers, JSON, body])


CHUNKED = request(b"transfer-encoding: chunked", body=b"").replace(b"content-length: 0\r\n", b"")


def statuses(link: socket.socket, n: int | None = None) -> list[int]:
    """Of the next `n` answers, or of all until the server closes the connection."""
    got: list[int] = []
    file = link.makefile("rb")
    while n is None or len(got) < n:
        try:
            first = file.readline()
        except ConnectionResetError:
            break
        if not first:
            break
        got.append(int(first.split()[1]))
        headers = dict(line.rstrip().split(b": ", 1) for line in iter(file.readline, b"\r\n"))
        file.read(int(headers[b"content-length"]))
    return got


def test_requests_on_one_connection(link: socket.socket) -> None:
    """A connection is kept for the next request, also for one that comes in pieces."""
    for pieces in ([HEALTH], [HEALTH[:20], HEALTH[20:]], [b"\r\n" + HEALTH], [request()[:-9], request()[-9:]]):
        for piece in pieces:
            link.sendall(piece)
            time.sleep(0.01)
        assert statuses(link, 1) == [200]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nhost: other\r\n\r\n",
        b"GET /health HTTP/2.0\r\nhost: localhost\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET ?a HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\nhost: localhost\n\n",
        request(b"transfer-encoding: chunked", body=b"0\r\n\r\n"),
        request(b"content-length: 4"),
        request(b"x: a\r\n b"),
        request(b"x : a"),
        request(b"x: a\x00"),
        HEALTH.replace(b"host", b"x: %s\r\nhost" % (b"a" * MAX_HEAD_BYTES)),
        HEALTH.replace(b"host", b"x: y\r\n" * (MAX_HEAD_BYTES // 8) + b"host"),
        HEALTH.replace(b"health", b"health?" + b"a" * MAX_HEAD_BYTES),
    ],
)  # fmt: skip
def test_what_is_refused(link: socket.socket, sent: bytes) -> None:
    """Requests that two readers could read differently, or that are too long, get a 400, and the connection ends."""
    link.sendall(sent + HEALTH)
    assert statuses(link) == [400]


@pytest.mark.parametrize(
    ("begun", "endless"),
    [(b"1;", b"x" * MAX_HEAD_BYTES), (b"1\r\nx\r\n0\r\n", b"a: b\r\n" * 20_000), (b"0\r\na: ", b"b" * MAX_HEAD_BYTES)],
    ids=["extension", "trailers", "trailer"],
)
def test_chunks_without_end(link: socket.socket, begun: bytes, endless: bytes) -> None:
    """What stands between the pieces of a body, or after it, is bounded as a head is."""
    link.sendall(CHUNKED + begun)
    time.sleep(0.1)  # what comes together with the end of a head is bounded by what is read at once
    link.sendall(endless + b"x")
    assert statuses(link) == [400]


def test_a_trailer_is_no_header(link: socket.socket) -> None:
    """What comes after a body changes nothing of the request."""
    link.sendall(
        CHUNKED + b"%x\r\n%s\r\n0\r\ncontent-type: text/plain\r\nhost: evil.example\r\n\r\n" % (len(BODY), BODY)
    )
    assert statuses(link, 1) == [200]


def test_pipelined_requests(link: socket.socket) -> None:
    """Requests that do not wait for answers are answered in order."""
    link.sendall(HEALTH + request() + request(line=b"POST /v1/nothing HTTP/1.1") + HEALTH)
    assert statuses(link, 4) == [200, 200, 404, 200]


def test_too_many_pipelined_requests(link: socket.socket) -> None:
    """Those beyond the bound are not answered: the connection ends after the others, and a client sends them again."""
    link.sendall(HEALTH * 1000)
    answered = statuses(link)
    assert answered == [200] * len(answered)
    assert MAX_PIPELINED_REQUESTS <= len(answered) < 1000


def test_garbage_after_a_request(link: socket.socket) -> None:
    """The request before it gets its own answer, and nothing else comes."""
    link.sendall(request() + b"\x00\xff\r\n\r\n")
    assert statuses(link) == [200]


def test_a_broken_body(link: socket.socket) -> None:
    """A chunk without a length is a 400, not a request with half a body."""
    link.sendall(CHUNKED + b'4\r\n{"mo\r\nzz\r\n')
    assert statuses(link) == [400]


def test_another_protocol_is_passed_over(link: socket.socket) -> None:
    """Clients that ask for HTTP/2 on the way, as Java's does, are answered in HTTP/1.1, with their body read."""
    asks = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAARAAAAAAAIAAAAA")
    sent = request(*asks)
    link.sendall(sent[:-30])
    time.sleep(0.05)
    link.sendall(sent[-30:] + HEALTH)
    assert statuses(link, 2) == [200, 200]


def test_a_client_that_leaves(link: socket.socket, served: Any) -> None:
    """A connection that ends in the middle of a body disturbs nobody."""
    link.sendall(request()[:-5])
    link.close()
    with served.client() as client:
        assert client.models.list().data
