"""POST /v1/files/from_completions: stored completions as a training file. OpenAI's API has no such call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import anyio.to_thread
import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError
from nanosmith.core.fields import Metadata
from nanosmith.core.limits import MAX_EXAMPLES, MAX_FILE_BYTES
from nanosmith.core.structs import to_struct
from nanosmith.data.completions import Exported, stored_completions, training_lines
from nanosmith.server.files.files import file_object, file_row, keep
from nanosmith.server.http.errors import TryAgain
from nanosmith.server.http.pages import unknown_cursor
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.services import Services, services
from nanosmith.store.ledger import UnknownCursor
from nanosmith.store.records import FileRow

FILENAME = "completions.jsonl"
PURPOSE = "fine-tune"


class Export(msgspec.Struct, forbid_unknown_fields=True):
    """Which completions: filters as those of the list, oldest first."""

    model: str | None = None
    metadata: Metadata = None
    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_EXAMPLES)] | None = None


async def create(request: Request) -> Response:
    asked, home = to_struct(await read_json(request), Export), services(request)
    exported = Exported()
    row = await anyio.to_thread.run_sync(_export, home, asked, exported, limiter=home.uploads)
    said = {"lines": exported.lines, "skipped": exported.skipped, "last_id": exported.last_id}
    return json_response(file_object(row) | {"nanosmith": said})


def _export(home: Services, asked: Export, exported: Exported) -> FileRow:
    """Bytes first, then the row, as for an upload. Raises InputError, TryAgain; then nothing is kept."""
    try:
        blob = home.blobs.put(_lines(home, asked, exported))
    except UnknownCursor as error:
        if str(error) == asked.after:
            raise unknown_cursor(asked.after) from error
        raise TryAgain("a completion was deleted while the file was written", remedy="Send it again.") from error
    return keep(home, file_row(blob, FILENAME, PURPOSE, None))


def _lines(home: Services, asked: Export, exported: Exported) -> Iterator[bytes]:
    """Raises InputError for a file that would be empty or too large."""
    found = stored_completions(
        home.ledger, model=asked.model, metadata=asked.metadata, after=asked.after, limit=asked.limit
    )
    size = 0
    for line in training_lines(found, exported):
        size += len(line)
        if size > MAX_FILE_BYTES:
            raise InputError(
                "the file would be too large", allowed=f"{MAX_FILE_BYTES} bytes", param="limit",
                remedy="Export a part of the completions with limit, and go on with after.",
            )  # fmt: skip
        yield line
    if not exported.lines:
        skipped = ", ".join(exported.skipped)
        raise InputError(
            "no stored completion is a training example", got=f"only {skipped}" if skipped else "none that fits",
            code="empty_file",
        )  # fmt: skip


routes = [Route("/files/from_completions", create, methods=["POST"])]
