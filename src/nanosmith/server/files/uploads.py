"""/v1/uploads: a file in parts, of which some can be sent again.

An upload and its parts are documents, the parts' bytes are blobs. Completing joins them into one blob and, in one
transaction, adds the file and marks the upload; only then do the parts go. Whatever ends an upload marks it first, so
that a process that is killed at any point leaves either a pending upload with all its parts or an ended one; what is
left of its parts goes when they expire.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal

import anyio.to_thread
import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError, NanosmithError, NotFound
from nanosmith.core.limits import MAX_FILE_BYTES, MAX_PART_BYTES, MAX_UPLOAD_PARTS
from nanosmith.core.structs import to_struct
from nanosmith.server.access.limits import check_storage
from nanosmith.server.files.files import EXPIRES_AFTER_S, check_purpose, file_object, file_row, safe_name
from nanosmith.server.files.intake import (
    FormBody,
    begin_form,
    kept_if_right,
    name_blob,
    receive,
    remove_unused,
)
from nanosmith.server.http.errors import TryAgain
from nanosmith.server.http.idempotency import Once, once
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.services import Services, services
from nanosmith.store.blobs import Blob
from nanosmith.store.ledger import new_id
from nanosmith.store.naming import UPLOAD_PART
from nanosmith.store.records import Document

UPLOAD = "upload"
PENDING = {"status": "pending"}
EXPIRES_S = 3600
CHUNK_BYTES = 1024**2
SPARE = 2
"""The parts of an upload may together have so many times its bytes: each can be sent again when it was damaged."""
MIME_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+*-]+(;.*)?", re.IGNORECASE)
JSONL = (
    "text/jsonl", "text/plain", "application/jsonl", "application/x-jsonl", "application/jsonlines",
    "application/x-jsonlines", "application/x-ndjson", "application/json", "application/octet-stream",
)  # fmt: skip
MIME_TYPES = {"fine-tune": JSONL, "batch": JSONL, "evals": JSONL, "vision": ("image/",)}
"""Purposes whose files have one format, and how its MIME types begin."""


class ExpiresAfter(msgspec.Struct):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=EXPIRES_AFTER_S[0], le=EXPIRES_AFTER_S[1])]


class CreateUpload(msgspec.Struct):
    filename: Annotated[str, Meta(min_length=1)]
    purpose: str
    bytes: Annotated[int, Meta(ge=1)]
    mime_type: str
    expires_after: ExpiresAfter | None = None


class CompleteUpload(msgspec.Struct):
    part_ids: Annotated[list[str], Meta(min_length=1, max_length=MAX_UPLOAD_PARTS)]
    md5: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{32}\Z")] | None = None


async def create(request: Request) -> Response:
    content, home = await read_json(request), services(request)
    asked = to_struct(content, CreateUpload)
    check(asked)
    upload = await run_in_threadpool(_create, home, asked, once(request, content))
    return json_response(upload_object(home, upload))


async def add_part(request: Request) -> Response:
    body, home = await begin_form(request, MAX_PART_BYTES), services(request)
    upload = await run_in_threadpool(_pending, home, request.path_params["id"])
    part = await anyio.to_thread.run_sync(_add_part, home, body, upload, limiter=home.uploads)
    return json_response(
        {"id": part.id, "object": UPLOAD_PART, "created_at": part.created_at, "upload_id": part.parent}
    )


async def complete(request: Request) -> Response:
    asked, home = to_struct(await read_json(request), CompleteUpload), services(request)
    upload = await anyio.to_thread.run_sync(_complete, home, request.path_params["id"], asked, limiter=home.uploads)
    return json_response(upload_object(home, upload))


def cancel(request: Request) -> Response:
    """Cancelling again changes nothing."""
    home, id = services(request), request.path_params["id"]
    upload = _upload(home, id)
    if upload.status != "cancelled":
        upload = home.ledger.update_document(UPLOAD, id, expect=PENDING, status="cancelled") or _pending(home, id)
    _drop_parts(home, id)
    return json_response(upload_object(home, upload))


def upload_object(home: Services, upload: Document) -> dict[str, Any]:
    """`file` is there once the upload is completed, until the file is deleted."""
    file = home.ledger.file(upload.body["file_id"]) if "file_id" in upload.body else None
    return {
        "id": upload.id, "object": UPLOAD, "bytes": upload.body["bytes"], "created_at": upload.created_at,
        "expires_at": upload.expires_at, "filename": upload.body["filename"], "purpose": upload.body["purpose"],
        "status": upload.status, "file": file_object(file) if file else None,
    }  # fmt: skip


def check(asked: CreateUpload) -> None:
    """Raises InputError for a purpose, size or MIME type that cannot be."""
    check_purpose(asked.purpose)
    if asked.bytes > MAX_FILE_BYTES:
        raise InputError("the file is too large", got=asked.bytes, allowed=f"{MAX_FILE_BYTES} bytes", param="bytes")
    allowed = MIME_TYPES.get(asked.purpose, ("",))
    if not (MIME_TYPE.fullmatch(asked.mime_type) and asked.mime_type.lower().startswith(allowed)):
        raise InputError(
            f"wrong MIME type for the purpose {asked.purpose}", got=repr(asked.mime_type[:80]),
            allowed=", ".join(allowed).strip() or "type/subtype", param="mime_type",
        )  # fmt: skip


def remove_expired(home: Services) -> None:
    """Mark what was not completed in time, and remove the parts of it and of what a killed process had ended."""
    now = int(time.time())
    for upload in home.ledger.expired_documents(UPLOAD, now, status="pending"):
        home.ledger.update_document(UPLOAD, upload.id, expect=PENDING, status="expired")
    for id in {part.parent for part in home.ledger.expired_documents(UPLOAD_PART, now)}:
        _drop_parts(home, str(id))


def _create(home: Services, asked: CreateUpload, sent: Once) -> Document:
    """A new upload; or, when a client repeats a request because it saw no answer, the one that it made before."""
    remove_expired(home)
    with home.creation:
        known = sent.earlier(home.ledger, partial(home.ledger.document, UPLOAD))
        if known is not None:
            return known
        check_storage(home, asked.bytes + _pending_bytes(home))
        now, after = int(time.time()), asked.expires_after
        body = {
            "bytes": asked.bytes, "filename": safe_name(asked.filename), "purpose": asked.purpose,
            "mime_type": asked.mime_type, "expires_after_s": after.seconds if after else None,
        }  # fmt: skip
        upload = Document(UPLOAD, new_id("upload_"), now, body, status="pending", expires_at=now + EXPIRES_S)
        home.ledger.add(upload, sent.record(upload.id))
    return upload


def _pending_bytes(home: Services) -> int:
    """What the files of pending uploads will have."""
    return sum(upload.body["bytes"] for upload in home.ledger.documents(UPLOAD, status="pending", limit=10_000))


def _upload(home: Services, id: str) -> Document:
    remove_expired(home)
    upload = home.ledger.document(UPLOAD, id)
    if upload is None:
        raise NotFound("no such upload", got=repr(id[:80]), param="upload_id")
    return upload


def _pending(home: Services, id: str) -> Document:
    """Raises NotFound, and InputError when it has ended."""
    upload = _upload(home, id)
    _check_pending(upload)
    return upload


def _check_pending(upload: Document) -> None:
    if upload.status != "pending":
        raise InputError(
            f"the upload is {upload.status}", where=upload.id, allowed="a pending upload", param="upload_id"
        )


def _add_part(home: Services, body: FormBody, upload: Document) -> Document:
    """Runs on a worker thread: bytes first, then the document, if the upload is still pending."""
    blob = receive(home, body, name="data", limit_bytes=MAX_PART_BYTES).blob
    with kept_if_right(home, blob):
        if blob is None or not blob.bytes:
            raise InputError("there is no data", allowed="a part named data", param="data", code="empty_file")
    part = Document(
        UPLOAD_PART, new_id("part_"), int(time.time()), {"bytes": blob.bytes},
        parent=upload.id, metadata={"sha256": blob.sha256}, expires_at=upload.expires_at,
    )  # fmt: skip

    def write() -> None:
        _check_room(upload, [*_parts(home, upload.id), part])
        if home.ledger.update_document(UPLOAD, upload.id, expect=PENDING, also=[part], status="pending") is None:
            raise _ended_meanwhile(upload.id)

    name_blob(home, blob, write)
    return part


def _check_room(upload: Document, parts: Sequence[Document]) -> None:
    """Equal parts, such as one that was sent twice, are stored once. Raises InputError."""
    if len(parts) > MAX_UPLOAD_PARTS:
        raise InputError("too many parts", where=upload.id, allowed=MAX_UPLOAD_PARTS, param="upload_id")
    by_digest = {_sha256(part): part.body["bytes"] for part in parts}
    stored_bytes, allowed = sum(by_digest.values()), SPARE * upload.body["bytes"]
    if stored_bytes > allowed:
        raise InputError(
            "the parts are larger than the upload", where=upload.id, got=f"{stored_bytes} bytes",
            allowed=f"{allowed} bytes", param="data",
        )  # fmt: skip


def _complete(home: Services, id: str, asked: CompleteUpload) -> Document:
    """Runs on a worker thread. Completing again, with the same parts, gives the same."""
    there = _parts(home, id)  # read before the upload is found pending, as they go once it is not
    upload = _upload(home, id)
    if upload.status == "completed":
        return _same(upload, asked)
    _check_pending(upload)
    parts = _in_order(there, asked.part_ids)
    size = sum(part.body["bytes"] for part in parts)
    if size != upload.body["bytes"]:
        raise InputError(
            "the parts do not have the bytes of the upload", where=id, got=f"{size} bytes",
            allowed=f"{upload.body['bytes']} bytes", param="part_ids",
        )  # fmt: skip
    md5 = hashlib.md5(usedforsecurity=False)
    blob = home.blobs.put(_joined(home, parts, md5, asked.md5))
    ended = {"part_ids": asked.part_ids, "md5": md5.hexdigest()}
    upload = name_blob(home, blob, lambda: _end(home, upload, blob, ended))
    with suppress(NanosmithError):  # the file is there: what is left of the parts goes when they expire
        _drop_parts(home, id)
    return upload


def _end(home: Services, upload: Document, blob: Blob, ended: dict[str, Any]) -> Document:
    """Add the file and mark its upload, in one transaction. Raises QuotaExceeded, TryAgain."""
    body = upload.body
    check_storage(home, blob.bytes)
    row = file_row(blob, body["filename"], body["purpose"], body["expires_after_s"])
    done = home.ledger.update_document(
        UPLOAD, upload.id, expect=PENDING, also=[row], status="completed", body=body | ended | {"file_id": row.id}
    )
    if done is None:
        raise _ended_meanwhile(upload.id)
    return done


def _same(upload: Document, asked: CompleteUpload) -> Document:
    """An upload that was completed, if it was with the same parts. Raises InputError."""
    as_before = asked.part_ids == upload.body["part_ids"]
    if not as_before or (asked.md5 or upload.body["md5"]).lower() != upload.body["md5"]:
        raise InputError(
            "the upload was completed with other parts", where=upload.id, got=upload.status, param="part_ids"
        )
    return upload


def _joined(home: Services, parts: Sequence[Document], md5: Any, wanted: str | None) -> Iterator[bytes]:
    """The bytes of all parts. Raises InputError at their end when they do not have the MD5 digest that is wanted."""
    for part in parts:
        try:
            with home.blobs.path(_sha256(part)).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    md5.update(chunk)
                    yield chunk
        except (NotFound, FileNotFoundError):
            raise _ended_meanwhile(str(part.parent)) from None
    if wanted is not None and md5.hexdigest() != wanted.lower():
        raise InputError(
            "the parts do not have the MD5 of the file", got=md5.hexdigest(), allowed=wanted, param="md5",
            remedy="Send the damaged part again, then complete with its new id.",
        )  # fmt: skip


def _in_order(parts: Sequence[Document], ids: Sequence[str]) -> list[Document]:
    by_id = {part.id: part for part in parts}
    for i, id in enumerate(ids):
        if id not in by_id:
            raise InputError("no such part of this upload", got=repr(id[:80]), param=f"part_ids[{i}]")
    return [by_id[id] for id in ids]


def _parts(home: Services, id: str) -> list[Document]:
    return home.ledger.documents(UPLOAD_PART, parent=id, limit=MAX_UPLOAD_PARTS)


def _drop_parts(home: Services, id: str) -> None:
    """Of an upload that has ended."""
    for part in _parts(home, id):
        remove_unused(home, _sha256(part), partial(home.ledger.delete_document, UPLOAD_PART, part.id))


def _sha256(part: Document) -> str:
    return (part.metadata or {})["sha256"]


def _ended_meanwhile(id: str) -> TryAgain:
    """The next try is told how it ended."""
    return TryAgain("the upload ended meanwhile", where=id, remedy="Try again.")


routes = [
    Route("/uploads", create, methods=["POST"]),
    Route("/uploads/{id}/parts", add_part, methods=["POST"]),
    Route("/uploads/{id}/complete", complete, methods=["POST"]),
    Route("/uploads/{id}/cancel", cancel, methods=["POST"]),
]
