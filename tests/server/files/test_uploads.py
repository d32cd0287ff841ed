"""Uploads in parts with the official client: order, digests, expiry, equal bytes, and a process that is killed."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.conftest import refused

from nanosmith.core import limits
from nanosmith.server.files import uploads
from nanosmith.server.services import Services, open_services
from nanosmith.store.home import Home

CONTENT = random.Random(5).randbytes(100_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
PARTS = [CONTENT[at : at + 30_000] for at in range(0, len(CONTENT), 30_000)]


@pytest.fixture
def own(fresh: Any) -> Iterator[OpenAI]:
    """A client of a server whose files are this test's own."""
    with fresh.client() as client:
        yield client


def blobs_of(home: Home) -> set[str]:
    return {path.name for path in home.blobs.rglob("*") if path.is_file()}


def begin(client: OpenAI, n_bytes: int = len(CONTENT), **options: Any) -> Any:
    given = {"filename": "data.jsonl", "purpose": "user_data", "mime_type": "text/plain"} | options
    return client.uploads.create(bytes=n_bytes, **given)


def send(client: OpenAI, id: str, parts: list[bytes] = PARTS) -> list[str]:
    return [client.uploads.parts.create(id, data=part).id for part in parts]


@pytest.mark.parametrize("part_size", [30_000, 100_000, None])
def test_a_file_in_chunks(fresh: Any, own: OpenAI, tmp_path: Path, part_size: int | None) -> None:
    """The client's upload_file_chunked gives a file with the same bytes, and the parts are gone."""
    path = tmp_path / "data.jsonl"
    path.write_bytes(CONTENT)
    done = own.uploads.upload_file_chunked(
        file=path, mime_type="text/jsonl", purpose="fine-tune", part_size=part_size, md5=MD5
    )
    assert (done.status, done.bytes, done.filename) == ("completed", len(CONTENT), "data.jsonl")
    assert done.file is not None
    assert (done.file.purpose, done.file.status, done.file.bytes) == ("fine-tune", "processed", len(CONTENT))
    assert own.files.content(done.file.id).content == CONTENT
    assert own.files.retrieve(done.file.id) == done.file
    assert [file.id for file in own.files.list()] == [done.file.id]
    assert blobs_of(fresh.home) == {hashlib.sha256(CONTENT).hexdigest()}


def test_the_file_is_like_any_other(own: OpenAI) -> None:
    """A fine-tuning job takes it; its expiry counts from its completion; deleted, it is gone from the upload too."""
    upload = begin(own, purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600})
    ids = send(own, upload.id)
    done = own.uploads.complete(upload.id, part_ids=ids)
    assert done.file is not None
    assert done.file.expires_at == done.file.created_at + 3600
    job = own.fine_tuning.jobs.create(model="nanosmith-nano", training_file=done.file.id)
    assert job.training_file == done.file.id
    own.files.delete(done.file.id)
    assert own.uploads.complete(upload.id, part_ids=ids).file is None


def test_the_upload_object(own: OpenAI) -> None:
    """A new upload is pending for an hour; of its name the last part is kept; a part names its upload."""
    upload = begin(own, filename="../x/data.jsonl")
    assert upload.id.startswith("upload_")
    assert (upload.status, upload.object, upload.filename, upload.file) == ("pending", "upload", "data.jsonl", None)
    assert upload.expires_at == upload.created_at + 3600
    part = own.uploads.parts.create(upload.id, data=b"x")
    assert part.id.startswith("part_")
    assert (part.object, part.upload_id) == ("upload.part", upload.id)
    assert abs(part.created_at - time.time()) < 60


def test_the_order_of_the_ids_counts(own: OpenAI) -> None:
    """Parts come in the order in which they are named, whenever they were sent."""
    upload = begin(own, 6)
    last, first = send(own, upload.id, [b"def", b"abc"])
    done = own.uploads.complete(upload.id, part_ids=[first, last], md5=hashlib.md5(b"abcdef").hexdigest().upper())
    assert done.file is not None
    assert own.files.content(done.file.id).content == b"abcdef"


def test_a_wrong_size_leaves_it_pending(own: OpenAI) -> None:
    """Parts that are not all there are a 400 with both sizes; the rest can still be sent."""
    upload = begin(own)
    ids = send(own, upload.id, PARTS[:-1])
    error = refused(lambda: own.uploads.complete(upload.id, part_ids=ids))
    assert error.param == "part_ids"
    assert "90000 bytes" in error.message
    assert "100000 bytes" in error.message
    ids += send(own, upload.id, PARTS[-1:])
    assert own.uploads.complete(upload.id, part_ids=ids).status == "completed"


def test_a_damaged_part_can_be_sent_again(fresh: Any, own: OpenAI) -> None:
    """A wrong MD5 is a 400 that leaves no file; with the part sent anew the upload completes, and nothing is left."""
    upload = begin(own)
    ids = send(own, upload.id, [PARTS[0], b"x" * 30_000, *PARTS[2:]])
    error = refused(lambda: own.uploads.complete(upload.id, part_ids=ids, md5=MD5))
    assert error.param == "md5"
    assert MD5 in error.message
    assert own.files.list().data == []
    ids[1:2] = send(own, upload.id, PARTS[1:2])
    assert own.uploads.complete(upload.id, part_ids=ids, md5=MD5).status == "completed"
    assert blobs_of(fresh.home) == {hashlib.sha256(CONTENT).hexdigest()}


def test_completing_again_gives_the_same(own: OpenAI) -> None:
    """A client that saw no answer asks again and gets the same file; other parts or another digest are a 400."""
    upload = begin(own)
    ids = send(own, upload.id)
    first = own.uploads.complete(upload.id, part_ids=ids)
    assert own.uploads.complete(upload.id, part_ids=ids, md5=MD5) == first
    for options in ({"part_ids": ids[::-1]}, {"part_ids": ids, "md5": "0" * 32}):
        assert "other parts" in refused(lambda options=options: own.uploads.complete(upload.id, **options)).message
    assert len(own.files.list().data) == 1


def test_completing_twice_at_once(own: OpenAI) -> None:
    """Of many at the same time one makes the file, and the others get it, or are told to try again."""
    upload = begin(own)
    ids = send(own, upload.id)

    def complete(_: int) -> str | None:
        try:
            done = own.uploads.complete(upload.id, part_ids=ids)
        except openai.InternalServerError as error:
            if error.code != "try_again":
                raise
            return None
        return done.file and done.file.id

    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(complete, range(16))) - {None}
    assert made == {file.id for file in own.files.list()}
    assert len(made) == 1


def test_cancelling(fresh: Any, own: OpenAI) -> None:
    """A cancelled upload takes no parts, is never completed, and keeps no bytes; cancelling again is the same."""
    upload = begin(own)
    ids = send(own, upload.id)
    cancelled = own.uploads.cancel(upload.id)
    assert (cancelled.status, blobs_of(fresh.home)) == ("cancelled", set())
    assert own.uploads.cancel(upload.id) == cancelled
    for call in (lambda: send(own, upload.id), lambda: own.uploads.complete(upload.id, part_ids=ids)):
        assert "cancelled" in refused(call).message
    assert blobs_of(fresh.home) == set()
    done = begin(own, 1)
    own.uploads.complete(done.id, part_ids=send(own, done.id, [b"x"]))
    assert "completed" in refused(lambda: own.uploads.cancel(done.id)).message


def test_expiry(fresh: Any, own: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an hour an upload is expired and its parts are removed; a completed one's file stays."""
    stays, goes = begin(own), begin(own)
    done = own.uploads.complete(stays.id, part_ids=send(own, stays.id))
    ids = send(own, goes.id)
    later = time.time() + 3601
    monkeypatch.setattr(uploads.time, "time", lambda: later)
    for call in (
        lambda: own.uploads.complete(goes.id, part_ids=ids),
        lambda: send(own, goes.id),
        lambda: own.uploads.cancel(goes.id),
    ):
        assert "expired" in refused(call).message
    assert blobs_of(fresh.home) == {hashlib.sha256(CONTENT).hexdigest()}
    assert done.file is not None
    assert own.files.content(done.file.id).content == CONTENT


def test_equal_bytes_are_kept_while_something_needs_them(fresh: Any, own: OpenAI) -> None:
    """A part has the bytes of a file and of another upload's part; each outlives the others' removal."""
    file = own.files.create(file=("a", PARTS[0]), purpose="user_data")
    one, other = begin(own, len(PARTS[0])), begin(own, 2 * len(PARTS[0]))
    mine, theirs = send(own, one.id, PARTS[:1]), send(own, other.id, PARTS[:1] * 2)
    own.files.delete(file.id)
    own.uploads.cancel(one.id)
    done = own.uploads.complete(other.id, part_ids=theirs)
    assert done.file is not None
    assert own.files.content(done.file.id).content == PARTS[0] * 2
    assert len(mine) == 1
    same = own.files.create(file=("a", PARTS[0]), purpose="user_data")
    last = begin(own, len(PARTS[0]))
    own.uploads.complete(last.id, part_ids=send(own, last.id, PARTS[:1]))
    assert own.files.content(same.id).content == PARTS[0]
    assert len(blobs_of(fresh.home)) == 2


def test_parts_at_the_same_time(own: OpenAI) -> None:
    """Parts may be sent in parallel."""
    parts = [b"%03d" % i for i in range(60)]
    upload = begin(own, 180)
    with ThreadPoolExecutor(12) as threads:
        ids = list(threads.map(lambda part: own.uploads.parts.create(upload.id, data=part).id, parts))
    done = own.uploads.complete(upload.id, part_ids=ids)
    assert done.file is not None
    assert own.files.content(done.file.id).content == b"".join(parts)


def test_a_repeated_request_makes_one_upload(own: OpenAI) -> None:
    """A client that saw no answer and sends again gets the upload that it made."""
    first = begin(own)
    assert begin(own, extra_headers={"x-stainless-retry-count": "1"}).id == first.id
    assert begin(own).id != first.id


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"bytes": 0}, "bytes"), ({"bytes": limits.MAX_FILE_BYTES + 1}, "bytes"), ({"bytes": "many"}, "bytes"),
        ({"purpose": "fun"}, "purpose"), ({"filename": ""}, "filename"), ({"mime_type": "pdf"}, "mime_type"),
        ({"mime_type": ""}, "mime_type"), ({"purpose": "fine-tune", "mime_type": "image/png"}, "mime_type"),
        ({"purpose": "vision"}, "mime_type"), ({"expires_after": {"anchor": "now", "seconds": 4000}}, "expires_after"),
        ({"expires_after": {"anchor": "created_at", "seconds": 60}}, "expires_after"),
    ],
)  # fmt: skip
def test_what_an_upload_cannot_be(client: OpenAI, options: dict[str, Any], param: str) -> None:
    """Sizes, purposes, names, MIME types and expiries out of range are a 400 that names the field."""
    good = {"bytes": 5, "filename": "a", "purpose": "user_data", "mime_type": "text/plain"}
    error = refused(lambda: client.post("/uploads", body=good | options, cast_to=object))
    assert (error.param or "").startswith(param)


@pytest.mark.parametrize(("purpose", "mime_type"), [("vision", "image/png"), ("assistants", "application/pdf")])
def test_mime_types(client: OpenAI, purpose: Any, mime_type: str) -> None:
    """Each purpose takes its own."""
    assert begin(client, purpose=purpose, mime_type=mime_type).status == "pending"


def test_wrong_parts(fresh: Any, own: OpenAI) -> None:
    """Empty, missing and too many bytes are refused and leave nothing; so are ids that are not of this upload."""
    upload, other = begin(own, 10), begin(own, 10)
    assert refused(lambda: send(own, upload.id, [b""])).param == "data"
    response = httpx.post(f"{fresh.url}/v1/uploads/{upload.id}/parts", files={"file": b"x"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "data")
    assert refused(lambda: send(own, upload.id, [b"x" * 21])).param == "data"
    assert blobs_of(fresh.home) == set()
    foreign = send(own, other.id, [b"0123456789"])
    error = refused(lambda: own.uploads.complete(upload.id, part_ids=foreign))
    assert error.param == "part_ids[0]"
    assert refused(lambda: own.uploads.complete(upload.id, part_ids=[])).param == "part_ids"
    assert refused(lambda: own.uploads.complete(other.id, part_ids=foreign, md5="abc")).param == "md5"


def test_unknown_uploads(client: OpenAI) -> None:
    """They are a 404 for every call."""
    for call in (
        lambda: client.uploads.parts.create("upload_none", data=b"x"),
        lambda: client.uploads.complete("upload_none", part_ids=["part_none"]),
        lambda: client.uploads.cancel("upload_none"),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            call()
        assert caught.value.param == "upload_id"


def test_a_part_over_the_limit_leaves_nothing(fresh: Any, own: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that is too large is a 413."""
    monkeypatch.setattr(uploads, "MAX_PART_BYTES", 50_000)
    upload = begin(own)
    with pytest.raises(openai.APIStatusError) as caught:
        send(own, upload.id, [CONTENT])
    assert caught.value.status_code == 413
    assert blobs_of(fresh.home) == set()


def test_too_many_parts(own: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of parts is limited, those that were replaced included."""
    monkeypatch.setattr(uploads, "MAX_UPLOAD_PARTS", 3)
    upload = begin(own, 100)
    send(own, upload.id, [b"x"] * 3)
    assert "too many parts" in refused(lambda: send(own, upload.id, [b"x"])).message


class Killed(BaseException):
    """Stands for SIGKILL."""


class Mortal:
    """Something whose calls are counted: the process dies before call number `at`, and none after it happens."""

    def __init__(self, thing: Any, left: list[int]) -> None:
        self._thing, self._left = thing, left

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if not callable(found):
            return found

        def counted(*args: Any, **options: Any) -> Any:
            self._left[0] -= 1
            if self._left[0] < 0:
                raise Killed
            return found(*args, **options)

        return counted


def killed_at(home: Home, at: int, id: str, part_ids: list[str]) -> bool:
    """Complete an upload in a process that dies before its call number `at` to the ledger or the blobs."""
    services, left = open_services(home), [at]
    with closing(services.ledger):
        dying = Services(home, Mortal(services.ledger, left), services.shared)  # type: ignore[arg-type]
        dying.blobs = Mortal(dying.blobs, left)  # type: ignore[assignment]
        try:
            uploads._complete(dying, id, uploads.CompleteUpload(part_ids, MD5))
        except Killed:
            return True
    return False


def test_killed_anywhere_nothing_is_lost(fresh: Any, own: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before any step of completing, the upload is whole: pending with its parts, or completed with its file;
    completing again gives one file with the right bytes, and after an hour no part is left."""
    at, alive = 0, False
    while not alive:
        upload = begin(own)
        ids = send(own, upload.id)
        alive = not killed_at(fresh.home, at, upload.id, ids)
        assert all(own.files.content(file.id).content == CONTENT for file in own.files.list())
        done = own.uploads.complete(upload.id, part_ids=ids, md5=MD5)
        assert done.file is not None
        assert own.files.content(done.file.id).content == CONTENT
        at += 1
        assert len(own.files.list().data) == at
    assert at > 10
    later = time.time() + 3601
    monkeypatch.setattr(uploads.time, "time", lambda: later)
    uploads.remove_expired(fresh.services)
    assert fresh.services.ledger.documents(uploads.UPLOAD_PART) == []
    assert len(fresh.services.ledger.files()) == at
