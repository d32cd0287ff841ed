"""From a form to stored bytes that a row names: what files and uploads share.

Bytes are stored first, then the row that names them is added; bytes that nothing names go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio.from_thread
from starlette.requests import Request

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_BOUNDARY_CHARS, MIN_STALL_BYTES
from nanosmith.server.files import multipart
from nanosmith.server.http.errors import WrongContentType
from nanosmith.server.http.wire import check_length, check_plain, check_size
from nanosmith.server.services import Services
from nanosmith.store import naming
from nanosmith.store.blobs import Blob, Blobs

Result = TypeVar("Result")
MAX_FIELD_BYTES = 4096
FORM_BYTES = 64 * 1024  # what a form may add to the file itself


class Form:
    """What a form held: text fields, and the file, stored already."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.blob: Blob | None = None


class FormBody:
    """A form that has begun to arrive: its first bytes, and where the others come from."""

    def __init__(self, boundary: bytes, begun: bytes, rest: AsyncIterator[bytes]) -> None:
        self.boundary = boundary
        self.begun = begun
        self.rest = rest


async def begin_form(request: Request, limit_bytes: int) -> FormBody:
    """A form whose file has at most `limit_bytes`. Its beginning is waited for here, so that a client that sends next
    to nothing holds no thread. Raises WrongContentType, TooLarge, SlowBody."""
    boundary = _boundary(request, limit_bytes)
    begun, rest = bytearray(), request.stream()
    while len(begun) < MIN_STALL_BYTES and (chunk := await anext(rest, None)) is not None:
        begun += chunk
    return FormBody(boundary, bytes(begun), rest)


def _boundary(request: Request, limit_bytes: int) -> bytes:
    given = request.headers.get("content-type", "")
    boundary = multipart.boundary_of(given)
    if boundary is None:
        raise WrongContentType(
            "the body has the wrong content type", got=repr(given[:200]),
            allowed=f"multipart/form-data with a boundary of 1 to {MAX_BOUNDARY_CHARS} characters",
        )  # fmt: skip
    check_plain(request)
    check_length(request, limit_bytes + FORM_BYTES)
    return boundary


def receive(home: Services, body: FormBody, *, name: str, limit_bytes: int) -> Form:
    """Read a form on a worker thread; its part `name` goes to the blobs as it comes. What is refused leaves nothing
    behind. Raises InputError, TooLarge, StorageFull."""
    form = Form()
    events = multipart.events(_chunks(body, limit_bytes + FORM_BYTES), body.boundary)
    try:
        _read(events, form, home.blobs, name, limit_bytes)
    except BaseException:
        drop(home, form.blob)
        raise
    return form


@contextmanager
def kept_if_right(home: Services, blob: Blob | None) -> Iterator[None]:
    """Where the block raises, the bytes go unless something else has the same."""
    try:
        yield
    except BaseException:
        drop(home, blob)
        raise


def name_blob(home: Services, blob: Blob, write: Callable[[], Result]) -> Result:
    """Run `write`, which adds a row that names the bytes; where it raises, the bytes go. Raises Unavailable."""
    with kept_if_right(home, blob):
        return naming.name_blob(home.ledger, home.blobs, blob, write)


def drop(home: Services, blob: Blob | None) -> None:
    """Remove stored bytes that nothing names."""
    if blob is not None:
        remove_unused(home, blob.sha256)


def remove_unused(home: Services, sha256: str, forget: Callable[[], object] = lambda: None) -> None:
    """Run `forget`, which deletes a row, and remove the bytes unless another row names them."""
    naming.remove_unused(home.ledger, home.blobs, sha256, forget)


def _chunks(body: FormBody, limit_bytes: int) -> Iterator[bytes]:
    """The body as it arrives, for a thread. Raises TooLarge, SlowBody."""

    async def next_chunk() -> bytes | None:
        return await anext(body.rest, None)

    chunk: bytes | None = body.begun
    size = 0
    while chunk is not None:
        size += len(chunk)
        check_size(size, limit_bytes)
        yield chunk
        chunk = anyio.from_thread.run(next_chunk)


def _read(events: Iterator[multipart.Event], form: Form, blobs: Blobs, name: str, limit_bytes: int) -> None:
    for event in events:
        if not isinstance(event, multipart.Part):
            continue
        if event.name == name:
            if form.blob is not None:
                raise InputError(f"more than one {name}", allowed=f"one part named {name}", param=name)
            form.filename = event.filename or ""
            form.blob = blobs.put(_data(events, limit_bytes))
        else:
            form.fields[event.name] = b"".join(_data(events, MAX_FIELD_BYTES)).decode("utf-8", "replace")


def _data(events: Iterator[multipart.Event], limit_bytes: int) -> Iterator[bytes]:
    """The data of the part that has begun. Raises TooLarge."""
    size = 0
    for event in events:
        if not isinstance(event, bytes):
            return
        size += len(event)
        check_size(size, limit_bytes)
        yield event
