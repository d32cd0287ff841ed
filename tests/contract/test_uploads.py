"""client.uploads"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.contract.conftest import refused

CONTENT = b"0123456789" * 100
MD5 = hashlib.md5(CONTENT).hexdigest()


def begin(client: OpenAI, n_bytes: int = len(CONTENT), purpose: Any = "user_data") -> Any:
    return client.uploads.create(bytes=n_bytes, filename="a.txt", mime_type="text/plain", purpose=purpose)


def test_in_parts(client: OpenAI) -> None:
    """An upload, its parts, and the file that they are completed to."""
    upload = begin(client)
    assert (upload.status, upload.bytes, upload.filename, upload.file) == ("pending", 1000, "a.txt", None)
    parts = [client.uploads.parts.create(upload.id, data=data) for data in (CONTENT[:400], CONTENT[400:])]
    assert [part.upload_id for part in parts] == [upload.id, upload.id]
    done = client.uploads.complete(upload.id, part_ids=[part.id for part in parts], md5=MD5)
    assert (done.id, done.status) == (upload.id, "completed")
    assert client.files.content(done.file.id).content == CONTENT  # type: ignore[union-attr]


def test_create_refused(client: OpenAI) -> None:
    """A purpose that does not exist, or no bytes, is a 400."""
    with refused(param="purpose"):
        begin(client, purpose="unheard-of")
    with refused(param="bytes"):
        begin(client, 0)


def test_parts_refused(client: OpenAI) -> None:
    """No upload, a 404."""
    with refused(openai.NotFoundError):
        client.uploads.parts.create("upload_none", data=b"data")


def test_complete_refused(client: OpenAI) -> None:
    """An unknown part, a part that is missing and a wrong digest are 400s, after which it can still be completed."""
    upload = begin(client)
    part = client.uploads.parts.create(upload.id, data=CONTENT)
    with refused():
        client.uploads.complete(upload.id, part_ids=["part_none"])
    with refused(param="md5"):
        client.uploads.complete(upload.id, part_ids=[part.id], md5="0" * 32)
    with refused(openai.NotFoundError):
        client.uploads.complete("upload_none", part_ids=[part.id])
    assert client.uploads.complete(upload.id, part_ids=[part.id]).status == "completed"


def test_cancel(client: OpenAI) -> None:
    """A cancelled upload takes no part; a completed or unknown one cannot be cancelled."""
    upload = begin(client)
    assert client.uploads.cancel(upload.id).status == "cancelled"
    with refused():
        client.uploads.parts.create(upload.id, data=CONTENT)
    with refused(openai.NotFoundError):
        client.uploads.cancel("upload_none")


@pytest.mark.parametrize("in_memory", [True, False])
def test_upload_file_chunked(client: OpenAI, tmp_path: Path, in_memory: bool) -> None:
    """The client's own way of cutting a file into parts, from memory and from the disk."""
    given: Any = {"mime_type": "text/plain", "purpose": "user_data", "part_size": 300, "md5": MD5}
    path = tmp_path / "a.txt"
    path.write_bytes(CONTENT)
    source: Any = {"file": CONTENT, "filename": "a.txt", "bytes": len(CONTENT)} if in_memory else {"file": path}
    done = client.uploads.upload_file_chunked(**source, **given)
    assert client.files.content(done.file.id).content == CONTENT  # type: ignore[union-attr]
    with refused(param="md5"):
        client.uploads.upload_file_chunked(**source, **given | {"md5": "0" * 32})
