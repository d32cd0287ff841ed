"""/v1/files: uploads are acknowledged only when their bytes and their row are durable."""

from __future__ import annotations

import re
import time
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.limits import MAX_FILE_BYTES, MAX_RANGES
from nanosmith.server.access.limits import check_storage
from nanosmith.server.files.intake import Form, FormBody, begin_form, kept_if_right, name_blob, receive, remove_unused
from nanosmith.server.http.errors import WrongRange
from nanosmith.server.http.pages import limit_of, order_of, page_response
from nanosmith.server.http.wire import json_response
from nanosmith.server.services import Services, services
from nanosmith.store.blobs import Blob
from nanosmith.store.ledger import new_id
from nanosmith.store.records import FileRow

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
SHOWN_PURPOSES = {"evals": "user_data"}
"""Purposes that OpenAI's file object does not know, by what it shows instead; the true one is under `nanosmith`."""
LIST_LIMIT = 10_000
EXPIRES_AFTER_S = (3600, 2_592_000)  # 1 hour to 30 days
BATCH_EXPIRES_AFTER_S = 2_592_000
RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_NAME_CHARS = 255


async def create(request: Request) -> Response:
    body, home = await begin_form(request, MAX_FILE_BYTES), services(request)
    row = await anyio.to_thread.run_sync(_store, home, body, limiter=home.uploads)
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
    check_range(request, row.bytes)
    return FileResponse(
        services(request).blobs.path(row.sha256),
        media_type="application/octet-stream",
        filename=row.filename,
        headers={"x-content-type-options": "nosniff"},
    )


def check_range(request: Request, size_bytes: int) -> None:
    """Refuse what is not at most MAX_RANGES ranges that begin within the file; other units than bytes are ignored, as
    RFC 9110 has it. Raises WrongRange."""
    given = request.headers.get("range", "")
    unit, _, asked = given.partition("=")
    if unit.strip().lower() != "bytes":
        request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
        return
    ranges = asked.split(",", MAX_RANGES)
    if len(ranges) > MAX_RANGES or not all(_begins(one, size_bytes) for one in ranges):
        raise WrongRange(
            "the range is not in the file", got=repr(given[:80]), size_bytes=size_bytes,
            allowed=f"at most {MAX_RANGES} ranges such as bytes=0-99 that begin within {size_bytes} bytes",
        )  # fmt: skip


def _begins(asked: str, size_bytes: int) -> bool:
    """Whether a range, `first-last`, `first-` or `-length`, is one and begins within the file."""
    found = RANGE.fullmatch(asked.strip())
    if found is None:
        return False
    first, last = found.groups()
    if not first:
        return bool(last) and int(last) > 0
    return int(first) < size_bytes and (not last or int(first) <= int(last))


def delete(request: Request) -> Response:
    row = _row(request)
    remove(services(request), row)
    return json_response({"id": row.id, "object": "file", "deleted": True})


def file_object(row: FileRow) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row.id, "object": "file", "bytes": row.bytes, "created_at": row.created_at, "filename": row.filename,
        "purpose": SHOWN_PURPOSES.get(row.purpose, row.purpose), "status": row.status,
    }  # fmt: skip
    if row.expires_at is not None:  # OpenAI's type knows no null here
        shown["expires_at"] = row.expires_at
    return shown | {"nanosmith": {"purpose": row.purpose}} if row.purpose in SHOWN_PURPOSES else shown


def remove(home: Services, row: FileRow) -> None:
    """Remove the row, then the bytes unless another file has the same."""
    remove_unused(home, row.sha256, forget=lambda: home.ledger.delete_file(row.id))


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


def keep(home: Services, row: FileRow) -> FileRow:
    """Add the row of a file whose bytes are stored already; where that fails, the bytes go. Raises Unavailable,
    QuotaExceeded."""

    def write() -> None:
        check_storage(home, row.bytes)
        home.ledger.add_file(row)

    name_blob(home, Blob(row.sha256, row.bytes), write)
    return row


def file_row(blob: Blob, filename: str, purpose: str, after_s: int | None) -> FileRow:
    """A new file that expires `after_s` seconds from now, or when its purpose says so."""
    now, after_s = int(time.time()), after_s or (BATCH_EXPIRES_AFTER_S if purpose == "batch" else None)
    expires_at = now + after_s if after_s else None
    return FileRow(new_id("file-"), now, blob.bytes, filename, purpose, blob.sha256, expires_at=expires_at)


def check_purpose(purpose: str | None) -> str:
    if purpose not in PURPOSES:
        raise InputError("wrong purpose", got=repr(purpose), allowed=", ".join(PURPOSES), param="purpose")
    return purpose


def _store(home: Services, body: FormBody) -> FileRow:
    """Runs on a worker thread: bytes first, then the row. What is refused leaves nothing behind."""
    form = receive(home, body, name="file", limit_bytes=MAX_FILE_BYTES)
    with kept_if_right(home, form.blob):
        row = _new_row(form)
    return keep(home, row)


def _new_row(form: Form) -> FileRow:
    if form.blob is None:
        raise InputError(
            "no file in the form", allowed="a part named file", param="file", code="missing_required_parameter"
        )
    purpose, filename = check_purpose(form.fields.get("purpose")), safe_name(form.filename)
    if not form.blob.bytes:
        raise InputError("the file is empty", where=filename, param="file", code="empty_file")
    return file_row(form.blob, filename, purpose, _expires_after_s(form.fields))


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


routes = [
    Route("/files", create, methods=["POST"]),
    Route("/files", list_files, methods=["GET"]),
    Route("/files/{id}", retrieve, methods=["GET"]),
    Route("/files/{id}", delete, methods=["DELETE"]),
    Route("/files/{id}/content", content, methods=["GET"]),
]
