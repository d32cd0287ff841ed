"""A server as a process of its own that is attacked, and what it took."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import psutil
from tests.server.test_process import Process

MIB = 1024**2
MOST_BYTES = 100 * MIB
MOST_S = 5.0
"""1 s on an idle machine."""
CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "refund"}]}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=b"}


class Answer(NamedTuple):
    """What came back on a connection; `status` 0: nothing."""

    status: int
    text: str
    sent_bytes: int


class Target:
    def __init__(self, process: Process) -> None:
        self.url = process.url
        self.port = int(process.url.rpartition(":")[2].partition("/")[0])
        self.process = psutil.Process(process.process.pid)
        self.http = httpx.Client(base_url=f"{process.url}/", timeout=30)
        for _ in range(20):  # what is loaded once is no growth
            self.is_well()

    def is_well(self) -> None:
        """A usual request is answered soon."""
        began = time.monotonic()
        answer = self.http.post("chat/completions", json=CHAT)
        assert answer.json()["choices"][0]["message"]["content"] == "refund"
        assert time.monotonic() - began < MOST_S

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """The block takes little time and memory, and the next request is answered."""
        with self.small():
            began = time.monotonic()
            yield
            took_s = time.monotonic() - began
        assert took_s < MOST_S
        self.is_well()

    @contextmanager
    def small(self) -> Iterator[None]:
        """In the block the server's resident memory grows by less than MOST_BYTES."""
        before = peak = self.process.memory_info().rss
        ended = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not ended.wait(0.005):
                peak = max(peak, self.process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
        assert peak - before < MOST_BYTES, f"grew by {(peak - before) / MIB:.0f} MiB"

    def refuses(self, method: str, path: str, *, content: bytes = b"", **headers: str) -> httpx.Response:
        """The request is answered with a 4xx in OpenAI's form."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.bounded():
            answer = self.http.request(method, path, content=content, headers=named)
        assert 400 <= answer.status_code < 500, (path, answer.text[:500])
        assert answer.json()["error"]["message"]
        return answer

    def raw(self, head: bytes, pieces: Iterable[bytes] = ()) -> Answer:
        """Sends bytes as they are, until there is an answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as link:
            link.sendall(head)
            sent = 0
            try:
                for piece in pieces:
                    if has_come(link):
                        break
                    link.sendall(piece)
                    sent += len(piece)
                got = link.recv(65_536)
            except ConnectionError:  # refused while the rest was under way
                got = b""
        return Answer(int(got[9:12] or 0), got.decode("latin-1"), sent)


def has_come(link: socket.socket) -> bool:
    """Whether there is something to read."""
    link.setblocking(False)
    try:
        return bool(link.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        link.settimeout(10)


def head(path: str, **headers: str) -> bytes:
    """The head of a POST."""
    given = {"host": "localhost"} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"POST /v1/{path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunks(piece: bytes, size_bytes: int) -> Iterator[bytes]:
    """A body of that size without an announced length, in pieces of about 1 MiB."""
    one = b"%x\r\n%s\r\n" % (len(piece), piece)
    n = max(1, MIB // len(one))
    for _ in range(size_bytes // (n * len(piece)) + 1):
        yield one * n


def part(name: str, data: bytes, filename: bytes | None = None, extra: bytes = b"") -> bytes:
    """A part of a form."""
    disposition = b'Content-Disposition: form-data; name="%s"' % name.encode()
    if filename is not None:
        disposition += b'; filename="%s"' % filename
    return b"--b\r\n%s\r\n%s\r\n%s\r\n" % (disposition, extra, data)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"
