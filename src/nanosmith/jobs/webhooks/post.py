"""Posts one signed message to an endpoint."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, urlsplit

from nanosmith.core.errors import InputError
from nanosmith.jobs.webhooks.hosts import Address, addresses
from nanosmith.jobs.webhooks.webhooks import Endpoint, live_secrets, signed_headers
from nanosmith.version import __version__

TIMEOUT_S = 10.0  # to connect, and until the head of the answer is there
LEAST_S = 0.01


class NoAnswer(InputError):
    """The endpoint could not be reached, or did not answer in time."""

    code = "endpoint_unreachable"


def post(endpoint: Endpoint, id: str, body: bytes) -> int:
    """The status of the answer; redirects are not followed. Raises NoAnswer.

    The connection goes to an address that was checked, while TLS and the header Host have the name.
    """
    parts, now = urlsplit(endpoint.url), int(time.time())
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"content-type": "application/json", "user-agent": f"nanosmith/{__version__}"}
    headers |= signed_headers(id, body, live_secrets(endpoint, now), now=now)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    connection = _connection(parts, context)
    try:
        found = addresses(connection.host, connection.port, endpoint.reach)
        deadline = time.monotonic() + TIMEOUT_S
        connection.sock = sock = _connect(found, deadline)
        if context is not None:
            named = context.wrap_socket(sock, server_hostname=connection.host, do_handshake_on_connect=False)
            connection.sock = sock = named
        with _cut_at(deadline, sock):
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            connection.request("POST", target, body, headers)
            return connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException, InputError) as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise NoAnswer(f"{kind}{error}"[:300], where="the endpoint did not answer") from error
    finally:
        connection.close()


def _connection(parts: SplitResult, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """Not connected yet."""
    host = parts.hostname or ""
    if context is None:
        return http.client.HTTPConnection(host, parts.port or 80)
    return http.client.HTTPSConnection(host, parts.port or 443, context=context)


def _connect(found: list[Address], deadline: float) -> socket.socket:
    """To the first address that takes it; each gets its share of the time. Raises OSError."""
    for number, (family, address) in enumerate(found):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(LEAST_S, (deadline - time.monotonic()) / (len(found) - number)))
            sock.connect(address)
        except OSError:
            sock.close()
            if number + 1 == len(found):
                raise
        else:
            return sock
    raise AssertionError("a host has an address")


@contextmanager
def _cut_at(deadline: float, sock: socket.socket) -> Iterator[None]:
    """Ends what the block reads and writes at the deadline, also when the other side sends a byte now and then, which a
    socket's own timeout allows for ever. Raises TimeoutError."""
    left_s = max(LEAST_S, deadline - time.monotonic())
    sock.settimeout(left_s)
    timer = threading.Timer(left_s, _cut, (sock,))
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"timed out after {TIMEOUT_S:g} s") from None
        raise
    finally:
        timer.cancel()


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):  # closed meanwhile
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's, which takes the encryption away first
