"""/v1/files: uploads are acknowledged only when their bytes and their row are durable."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio.from_thread
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.limits import MAX_FILE_BYTES
from nanosmith.server import multipart
from nanosmith.server.errors import TryAgain, WrongContentType
from nanosmith.server.pages import limit_of, order_of, page_response
from nanosmith.server.services import Services, services
from nanosmith.server.wire import check_length, check_size, json_response
from nanosmith.store.blobs import Blob, BlobFolder
from nanosmith.store.ledger import new_id
from nanosmith.store.records import FileRow

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
SHOWN_PURPOSES = {"evals": "user_data"}
"""Purposes that OpenAI's file object does not know, by what it shows instead; the true one is under `nanosmith`."""
LIST_LIMIT = 10_000
MAX_FIELD_BYTES = 4096
FORM_BYTES = 64 * 1024  # what the form may add to the file itself
EXPIRES_AFTER_S = (3600, 2_592_000)  # 1 hour to 30 days
BATCH_EXPIRES_AFTER_S = 2_592_000
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_NAME_CHARS = 255

_removal = threading.Lock()
"""Held while a row is added or a blob is removed, so that a blob never goes while a new row begins to name it."""


class Upload:
    """What a form held: text fields, and the file, stored already."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.blob: Blob | None = None


async def create(request: Request) -> Response:
    boundary = multipart.boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        given = request.headers.get("content-type", "")
        raise WrongContentType("the body has the wrong content type", got=repr(given), allowed="multipart/form-data")
    check_length(request, MAX_FILE_BYTES + FORM_BYTES)
    home = services(request)
    row = await anyio.to_thread.run_sync(_store, home, request, boundary, limiter=home.uploads)
    return json_response(file_object(row))


def list_files(request: Request) -> Response:
    query, ledger = request.query_params, services(request).ledger
    limit, order = limit_of(query, default=LIST_LIMIT, most=LIST_LIMIT), order_of(query)
    remove_expired(services(request))
    return page_response(
        lambda: ledger.files(
            purpose=query.get("purpose"), after=query.get("after"), limit=limit, newest_first=order == "desc"
        ),
        file_object,
    )


def retrieve(request: Request) -> Response:
    return json_response(file_object(_row(request)))


def content(request: Request) -> Response:
    row = _row(request)
    return FileResponse(
        services(request).blobs.path(row.sha256),
        media_type="application/octet-stream",
        filename=row.filename,
        headers={"x-content-type-options": "nosniff"},
    )


def delete(request: Request) -> Response:
    row = _row(request)
    remove(services(request), row)
    return json_response({"id": row.id, "object": "file", "deleted": True})


def file_object(row: FileRow) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row.id, "object": "file", "bytes": row.bytes, "created_at": row.created_at, "filename": row.filename,
        "purpose": SHOWN_PURPOSES.get(row.purpose, row.purpose), "status": row.status, "status_details": None,
        "expires_at": row.expires_at,
    }  # fmt: skip
    return shown | {"nanosmith": {"purpose": row.purpose}} if row.purpose in SHOWN_PURPOSES else shown


def remove(home: Services, row: FileRow) -> None:
    """Remove the row, then the bytes unless another file has the same."""
    with _removal:
        home.ledger.delete_file(row.id)
        _remove_unused(home, row.sha256)


def remove_expired(home: Services) -> None:
    for row in home.ledger.expired_files(int(time.time())):
        remove(home, row)


def safe_name(given: str) -> str:
    """The last part of a path, whatever the client's system; without control characters; never empty."""
    name = CONTROL.sub("", re.split(r"[/\\]", given)[-1]).strip()
    return name[:MAX_NAME_CHARS] if name not in ("", ".", "..") else "file"


def _row(request: Request) -> FileRow:
    id = request.path_params["id"]
    remove_expired(services(request))
    row = services(request).ledger.file(id)
    if row is None:
        raise NotFound("no such file", got=repr(id[:80]), param="id")
    return row


def _store(home: Services, request: Request, boundary: bytes) -> FileRow:
    """Runs on a worker thread: bytes first, then the row. What is refused leaves nothing behind."""
    upload = Upload()
    try:
        _read(multipart.events(_chunks(request), boundary), upload, home.blobs)
        row = _new_row(upload)
        with _removal:
            _add(home, row)
    except BaseException:
        if upload.blob is not None:
            with _removal:
                _remove_unused(home, upload.blob.sha256)
        raise
    return row


def _chunks(request: Request) -> Iterator[bytes]:
    """The body as it arrives, for a thread. Raises TooLarge."""
    stream, size = request.stream(), 0

    async def next_chunk() -> bytes | None:
        return await anext(stream, None)

    while (chunk := anyio.from_thread.run(next_chunk)) is not None:
        size += len(chunk)
        check_size(size, MAX_FILE_BYTES + FORM_BYTES)
        yield chunk


def _read(events: Iterator[multipart.Event], upload: Upload, blobs: BlobFolder) -> None:
    for event in events:
        if not isinstance(event, multipart.Part):
            continue
        if event.name == "file":
            if upload.blob is not None:
                raise InputError("more than one file", allowed="one part named file", param="file")
            upload.filename = safe_name(event.filename or "")
            upload.blob = blobs.put(_data(events, MAX_FILE_BYTES))
        else:
            upload.fields[event.name] = b"".join(_data(events, MAX_FIELD_BYTES)).decode("utf-8", "replace")


def _data(events: Iterator[multipart.Event], limit_bytes: int) -> Iterator[bytes]:
    """The data of the part that has begun. Raises TooLarge."""
    size = 0
    for event in events:
        if not isinstance(event, bytes):
            return
        size += len(event)
        check_size(size, limit_bytes)
        yield event


def _new_row(upload: Upload) -> FileRow:
    purpose, now = upload.fields.get("purpose"), int(time.time())
    if upload.blob is None:
        raise InputError(
            "no file in the form", allowed="a part named file", param="file", code="missing_required_parameter"
        )
    if purpose not in PURPOSES:
        raise InputError("wrong purpose", got=repr(purpose), allowed=", ".join(PURPOSES), param="purpose")
    if not upload.blob.bytes:
        raise InputError("the file is empty", where=upload.filename, param="file", code="empty_file")
    after_s = _expires_after_s(upload.fields) or (BATCH_EXPIRES_AFTER_S if purpose == "batch" else None)
    return FileRow(
        new_id("file-"), now, upload.blob.bytes, upload.filename, purpose, upload.blob.sha256,
        expires_at=now + after_s if after_s else None,
    )  # fmt: skip


def _expires_after_s(fields: dict[str, str]) -> int | None:
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise InputError("wrong anchor", got=repr(anchor), allowed="created_at", param="expires_after[anchor]")
    least, most = EXPIRES_AFTER_S
    if seconds is None or not re.fullmatch("[0-9]{1,9}", seconds) or not least <= int(seconds) <= most:
        raise InputError(
            "wrong expiry",
            got=repr(seconds),
            allowed=f"an integer from {least} to {most}",
            param="expires_after[seconds]",
        )
    return int(seconds)


def _add(home: Services, row: FileRow) -> None:
    try:
        home.blobs.path(row.sha256)
    except NotFound:
        raise TryAgain("an equal file was deleted while this one was stored", remedy="Send it again.") from None
    home.ledger.add_file(row)


def _remove_unused(home: Services, sha256: str) -> None:
    if not home.ledger.blob_is_used(sha256):
        home.blobs.remove(sha256)


routes = [
    Route("/files", create, methods=["POST"]),
    Route("/files", list_files, methods=["GET"]),
    Route("/files/{id}", retrieve, methods=["GET"]),
    Route("/files/{id}", delete, methods=["DELETE"]),
    Route("/files/{id}/content", content, methods=["GET"]),
]
