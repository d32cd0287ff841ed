"""HTTP/1.1 as clients send it: uvicorn's protocol over httptools, with the bounds that it lacks.

httptools takes a fraction of the processor time of h11, but reads heads, trailers and pipelined requests without end,
asks for no Host (RFC 9112, 3.2), and takes a body after an Upgrade for another protocol's.
"""

from __future__ import annotations

from typing import Any

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from nanosmith.core.limits import MAX_HEAD_BYTES, MAX_PIPELINED_REQUESTS

LINE_BYTES = 4
"""What a header takes beside its name and value."""
VERSIONS = ("1.0", "1.1")


class Protocol(HttpToolsProtocol):
    """One connection. What is no HTTP/1.1, or exceeds a bound, is answered with 400 and ends the connection, after the
    answers to the requests before it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._is_in_head = False
        self._head_bytes = 0
        """Of the request that is read: its line, headers and trailers."""
        self._idle_bytes = 0
        """What came since the last end of a head, or piece of a body."""
        self._is_over = False
        self._answering: RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._unset_keepalive_if_required()
        self._idle_bytes += len(data)
        try:
            self.parser.feed_data(data)
            if self._idle_bytes > MAX_HEAD_BYTES:
                raise HttpParserError("a head, a trailer or a chunk's line without end")
        except HttpParserUpgrade as upgrade:
            self._hand_over(data[upgrade.args[0] :])
        except HttpParserError:
            self._refuse()

    def connection_lost(self, exc: Exception | None) -> None:
        """Beside the request that was read last, tell the one that is being answered."""
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED_REQUESTS:
            raise HttpParserError("too many requests wait for their answers")
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + LINE_BYTES)
        if self._is_in_head:  # a trailer is no header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._idle_bytes = 0
        version, hosts = self.parser.get_http_version(), sum(name == b"host" for name, _ in self.headers)
        if version not in VERSIONS or hosts > 1 or (not hosts and version == "1.1"):
            raise HttpParserError("not HTTP/1.1, or not one Host")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._idle_bytes = 0
        super().on_message_complete()

    def _count(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            raise HttpParserError("a head or trailer that is too long")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _should_upgrade(self) -> bool:
        """Whoever asks for another protocol is left to `_hand_over`; asked only where httptools sees such a request."""
        return True

    def _hand_over(self, rest: bytes) -> None:
        """h11 passes over an Upgrade that nobody takes, and reads the body, which httptools does not."""
        if self._is_awaited():
            self._refuse()
            return
        lines = [b"%s %s HTTP/1.1" % (self.scope["method"].encode(), self.url), *map(b": ".join, self.headers)]
        reader = H11Protocol(self.config, self.server_state, self.app_state, self.loop)
        self.connections.discard(self)
        reader.connection_made(self.transport)
        self.transport.set_protocol(reader)
        reader.data_received(b"\r\n".join([*lines, b"", rest]))

    def _refuse(self) -> None:
        self._is_over = True
        if not self._is_awaited():
            self.send_400_response("Invalid HTTP request received.")
        elif not self.cycle.more_body:  # a request after those that are being answered
            self.cycle.keep_alive = False
        elif self.pipeline or self.cycle.response_started:
            self.transport.close()
        else:
            self.send_400_response("Invalid HTTP request received.")

    def _is_awaited(self) -> bool:
        """Whether a request that was read, or half of it, has no whole answer yet."""
        return self.cycle is not None and not self.cycle.response_complete
