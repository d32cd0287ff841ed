"""Files with the official client: uploads, lists in pages, content, expiry, and hostile names."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from nanosmith.server.files import files
from nanosmith.server.files.files import safe_name


@pytest.fixture
def own(fresh: Any) -> Iterator[OpenAI]:
    """A client of a server whose files are this test's own."""
    with fresh.client() as client:
        yield client


def blobs_of(server: Any) -> list[Path]:
    return [path for path in server.home.blobs.rglob("*") if path.is_file()]


def test_upload_and_read_back(own: OpenAI) -> None:
    """A file is processed at once, its object is complete, and its content comes back byte for byte."""
    content = bytes(range(256)) * 5000
    made = own.files.create(file=("data.jsonl", content), purpose="fine-tune")
    assert made.id.startswith("file-")
    assert (made.bytes, made.filename, made.purpose, made.status) == (
        len(content),
        "data.jsonl",
        "fine-tune",
        "processed",
    )
    assert (made.object, made.expires_at, made.status_details) == ("file", None, None)
    assert abs(made.created_at - time.time()) < 60
    assert own.files.retrieve(made.id) == made
    assert own.files.content(made.id).content == content
    assert own.files.wait_for_processing(made.id) == made


def test_delete(fresh: Any, own: OpenAI) -> None:
    """A deleted file is gone, with its bytes, unless another file has the same."""
    first, second = (own.files.create(file=("a", b"same"), purpose="user_data") for _ in range(2))
    gone = own.files.delete(first.id)
    assert (gone.id, gone.deleted, gone.object) == (first.id, True, "file")
    for call in (own.files.retrieve, own.files.content, own.files.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            call(first.id)
        assert caught.value.param == "id"
    assert own.files.content(second.id).content == b"same"
    own.files.delete(second.id)
    assert blobs_of(fresh) == []


def test_pages(own: OpenAI) -> None:
    """45 files in pages of 20 are all met once, newest first, or oldest first when asked; has_more ends it."""
    made = [own.files.create(file=(f"{i}", b"%d" % i), purpose="batch" if i % 3 else "fine-tune").id for i in range(45)]
    assert [file.id for file in own.files.list(limit=20)] == made[::-1]
    assert [file.id for file in own.files.list(limit=20, order="asc")] == made
    assert [file.id for file in own.files.list(purpose="fine-tune", limit=4)] == made[::3][::-1]
    page = own.files.list(limit=20, after=made[20])
    assert ([f.id for f in page.data], page.has_more) == (made[:20][::-1], False)
    raw = own.files.with_raw_response.list(limit=20).http_response.json()
    assert (raw["first_id"], raw["last_id"], raw["has_more"], raw["object"]) == (made[44], made[25], True, "list")


def test_an_empty_list(own: OpenAI) -> None:
    """No files: nulls for the ids, and nothing more to come."""
    raw = own.files.with_raw_response.list().http_response.json()
    assert raw == {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"), ({"limit": "10001"}, "limit"), ({"limit": "ten"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"limit": "9" * 5000}, "limit"), ({"order": "up"}, "order"), ({"after": "file-none"}, "after"),
    ],
)  # fmt: skip
def test_wrong_pages(http: httpx.Client, query: dict[str, str], param: str) -> None:
    """A wrong limit, order or cursor is a 400 that names it."""
    response = http.get("/v1/files", params=query)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("purpose", ["assistants", "batch", "fine-tune", "vision", "user_data"])
def test_purposes(client: OpenAI, purpose: Any) -> None:
    """OpenAI's purposes are accepted and shown; batch files expire after 30 days."""
    made = client.files.create(file=("a", b"x"), purpose=purpose)
    assert made.purpose == purpose
    assert made.expires_at == (made.created_at + 30 * 86_400 if purpose == "batch" else None)


def test_the_purpose_evals(client: OpenAI) -> None:
    """OpenAI's file object has no `evals`: it is shown as user_data, and the true purpose under our own key."""
    made = client.files.create(file=("a", b"x"), purpose="evals")
    assert made.purpose == "user_data"
    assert made.model_extra == {"nanosmith": {"purpose": "evals"}}
    assert made.id in [file.id for file in client.files.list(purpose="evals")]


def test_expiry(fresh: Any, own: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expired file is gone like a deleted one."""
    made = own.files.create(
        file=("a", b"x"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at == made.created_at + 3600
    later = time.time() + 3601
    monkeypatch.setattr(files.time, "time", lambda: later)
    assert own.files.list().data == []
    with pytest.raises(openai.NotFoundError):
        own.files.retrieve(made.id)
    assert blobs_of(fresh) == []


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"purpose": "fine-tune"}, "file"),
        ({"file": b"x"}, "purpose"),
        ({"file": b"x", "purpose": "fun"}, "purpose"),
        ({"file": b"x", "purpose": "fine-tune-results"}, "purpose"),
        ({"file": b"", "purpose": "fine-tune"}, "file"),
        ({"file": b"x", "purpose": "batch", "expires_after[anchor]": "now"}, "expires_after[anchor]"),
        *[
            (
                {"file": b"x", "purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": s},
                "expires_after[seconds]",
            )
            for s in ("3599", "2592001", "-1", "1e4", "")
        ],
    ],
)
def test_wrong_forms_leave_nothing(fresh: Any, form: dict[str, Any], param: str) -> None:
    """A form that lacks something or has a wrong value is a 400 at its field, and no bytes are kept."""
    parts = {name: ("f", value) if name == "file" else (None, value) for name, value in form.items()}
    response = httpx.post(f"{fresh.url}/v1/files", files=parts)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert blobs_of(fresh) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"--b\r\n", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf', b"--b--\r\n"],
)
def test_malformed_multipart(fresh: Any, body: bytes) -> None:
    """A body that is no multipart form, or ends in the middle, is a 400 and leaves nothing."""
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = httpx.post(f"{fresh.url}/v1/files", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["code"] in ("invalid_multipart", "missing_required_parameter")
    assert blobs_of(fresh) == []


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("../x", "x"), ("..\\..\\x.jsonl", "x.jsonl"), ("/etc/passwd", "passwd"), ("a\x00b\r\nc", "abc"),
        ("..", "file"),
        ("", "file"), ("naïve 名.jsonl", "naïve 名.jsonl"), ("C:\\x\\", "file"), ("x" * 300, "x" * 255),
    ],
)  # fmt: skip
def test_safe_names(given_name: str, kept: str) -> None:
    """Only the last part of a name is kept, without control characters."""
    assert safe_name(given_name) == kept


@given(st.text(max_size=400))
def test_any_name_is_made_safe(name: str) -> None:
    """Whatever is given, the name is not empty, not long, and no path."""
    safe = safe_name(name)
    assert 0 < len(safe) <= 255
    assert safe not in (".", "..")
    assert not set(safe) & set("/\\\x00\r\n")


@pytest.mark.parametrize("name", ["../../x.jsonl", 'quote".jsonl', "new\nline", "emoji🎈"])
def test_hostile_names_are_only_data(fresh: Any, own: OpenAI, name: str) -> None:
    """Files are stored by digest; a hostile name appears nowhere on the disk and can be downloaded."""
    made = own.files.create(file=(name, b"content"), purpose="user_data")
    assert "/" not in made.filename
    assert [path.name for path in blobs_of(fresh)] == [hashlib.sha256(b"content").hexdigest()]
    assert own.files.content(made.id).content == b"content"


def test_a_large_file_is_not_held_in_memory(own: OpenAI) -> None:
    """64 MiB stream to the disk while the process grows by far less."""
    psutil = pytest.importorskip("psutil")
    own.files.create(file=("warm", b"x"), purpose="user_data")
    content = io.BytesIO(os.urandom(1024) * 1024 * 64)
    before, peak = psutil.Process().memory_info().rss, 0
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(own.files.create, file=("big", content), purpose="user_data")
        while not sent.done():
            peak = max(peak, psutil.Process().memory_info().rss)
            time.sleep(0.01)
    assert sent.result().bytes == 64 * 1024**2
    assert peak - before < 160 * 1024**2  # the client, in this process too, makes copies of its own


def test_an_announced_large_upload_is_refused(served: Any) -> None:
    """More than 512 MB is a 413 before a byte is read."""
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as link:
        head = f"POST /v1/files HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        link.sendall(f"{head}Content-Length: {600 * 1024**2}\r\n\r\n".encode())
        assert link.recv(65_536).startswith(b"HTTP/1.1 413")


def test_a_file_over_the_limit_leaves_nothing(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that grows beyond the limit while it is read is a 413, and what was written is removed."""
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 100_000)
    response = httpx.post(
        f"{fresh.url}/v1/files", data={"purpose": "user_data"}, files={"file": ("big", b"x" * 100_001)}
    )
    assert response.status_code == 413
    assert blobs_of(fresh) == []


def test_a_full_disk_is_a_507(fresh: Any, own: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space left: an error body that says so, not to be retried, and nothing is left behind."""

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nanosmith.store.atomic.os.fsync", full)
    with pytest.raises(openai.InternalServerError) as caught:
        own.files.create(file=("a", b"x"), purpose="fine-tune")
    assert (caught.value.status_code, caught.value.code) == (507, "insufficient_storage")
    assert caught.value.response.headers["x-should-retry"] == "false"
    monkeypatch.undo()
    assert blobs_of(fresh) == []
    assert own.files.list().data == []


def test_parallel_uploads(own: OpenAI) -> None:
    """Many uploads at once, equal ones among them, are all kept."""
    contents = [b"%d" % (i % 7) for i in range(40)]
    with ThreadPoolExecutor(20) as threads:
        made = list(threads.map(lambda c: own.files.create(file=("a", c), purpose="user_data").id, contents))
    assert [own.files.content(id).content for id in made] == contents


def test_equal_files_come_and_go(own: OpenAI) -> None:
    """Uploading and deleting the same bytes at the same time never loses a file that was acknowledged."""

    def turn(_: int) -> None:
        try:
            made = own.files.create(file=("a", b"equal"), purpose="user_data")
        except openai.InternalServerError as error:
            if error.code != "try_again":
                raise
            return
        assert own.files.content(made.id).content == b"equal"
        own.files.delete(made.id)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(turn, range(60)))
