"""Blobs in S3: what only happens there."""

from __future__ import annotations

import hashlib
import os
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.s3_server import BUCKET, S3Server, Wire, free_ports

from nanosmith.core.errors import Damaged, InputError, Misconfigured, MissingExtra, NotFound, Unavailable
from nanosmith.store.atomic import PART
from nanosmith.store.blobs import open_blobs
from nanosmith.store.blobs.cache import BlobCache
from nanosmith.store.home import Home

MARK = b"here-is-the-mark"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No setting of whoever runs the tests counts, and no machine is asked for credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    return monkeypatch


@pytest.fixture
def in_s3(home: Home, s3_server: S3Server, settings: pytest.MonkeyPatch) -> Home:
    """Blobs in S3 under a prefix of this test."""
    use(settings, s3_server.settings())
    s3 = pytest.importorskip("nanosmith.store.blobs.s3")
    settings.setattr(s3, "RETRY", {"max_retries": 1, "retry_timeout": timedelta(seconds=5)})
    return msgspec.structs.replace(home, blob_url=f"s3://{BUCKET}/{uuid.uuid4().hex}")


@pytest.fixture
def wire(s3_server: S3Server, in_s3: Home, settings: pytest.MonkeyPatch) -> Iterator[Wire]:
    """All that goes to S3 goes over this wire."""
    wire = Wire(s3_server)
    use(settings, s3_server.settings(port=wire.port))
    yield wire
    wire.close()


def use(settings: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        settings.setenv(name, value)


def elsewhere(home: Home, root: Path) -> Home:
    """The same blobs, as another machine without copies sees them."""
    return msgspec.structs.replace(home, root=root)


def large(size_mb: int) -> list[bytes]:
    return [bytes([i]) * 2**20 for i in range(size_mb)]


def objects(home: Home) -> list[str]:
    found = open_blobs(home).store.list().collect()  # type: ignore[attr-defined]
    return [entry["path"] for entry in found]


def test_objects_are_named_by_project_and_digest(in_s3: Home) -> None:
    """An object's key is PREFIX/PROJECT/ab/abcd…, and an equal one takes its place."""
    from obstore.store import S3Store

    blobs = open_blobs(in_s3.of("proj_a"))
    sha256 = blobs.put([b"content"]).sha256
    blobs.put([b"content"])
    prefix = str(in_s3.blob_url).rpartition("/")[2]
    found = S3Store(BUCKET, client_options={"allow_http": True}).list(prefix).collect()
    assert [entry["path"] for entry in found] == [f"{prefix}/proj_a/{sha256[:2]}/{sha256}"]


def test_another_machine_reads_large_files(in_s3: Home, tmp_path: Path, s3_server: S3Server) -> None:
    """A file of several parts is sent and read as it is; no upload stays unfinished."""
    content, unfinished = large(12), s3_server.unfinished_uploads()
    blob = open_blobs(in_s3).put(content)
    path = open_blobs(elsewhere(in_s3, tmp_path / "other")).path(blob.sha256)
    assert path.read_bytes() == b"".join(content)
    assert path.is_relative_to(tmp_path / "other" / "cache" / "blobs")
    assert s3_server.unfinished_uploads() == unfinished


def test_copies_serve_without_the_network(in_s3: Home, settings: pytest.MonkeyPatch) -> None:
    """What was put or read here is there while S3 is away; what was not is Unavailable."""
    blob = open_blobs(in_s3).put([b"content"])
    settings.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    away = open_blobs(in_s3)
    assert away.path(blob.sha256).read_bytes() == b"content"
    for call in (lambda: away.path("0" * 64), lambda: away.put([b"new"]), lambda: away.remove(blob.sha256)):
        with pytest.raises(Unavailable, match=r"does not answer.*AWS_ENDPOINT_URL"):
            call()
    assert away.path(blob.sha256).read_bytes() == b"content"


@pytest.mark.parametrize("size_mb", [1, 12])
def test_harm_on_the_way_is_noticed(in_s3: Home, wire: Wire, s3_server: S3Server, size_mb: int) -> None:
    """A byte that changes between here and S3 is never acknowledged, and no object appears, in no part."""
    unfinished = s3_server.unfinished_uploads()
    wire.replace = (MARK, MARK.upper())
    with pytest.raises(Unavailable, match="BadDigest"):
        open_blobs(in_s3).put([*large(size_mb), MARK])
    assert objects(in_s3) == []
    assert s3_server.unfinished_uploads() == unfinished
    wire.replace = (b"", b"")
    assert open_blobs(in_s3).put([*large(size_mb), MARK]).bytes == size_mb * 2**20 + len(MARK)


@pytest.mark.parametrize("size_mb", [1, 12])
def test_broken_connection_leaves_no_object(in_s3: Home, wire: Wire, size_mb: int) -> None:
    """A connection that breaks in the middle of an upload is Unavailable; there is no object, and no local file."""
    blobs = open_blobs(in_s3)
    wire.cut_after_bytes = size_mb * 2**19
    with pytest.raises(Unavailable, match="does not answer"):
        blobs.put(large(size_mb))
    wire.cut_after_bytes = None
    assert objects(in_s3) == []
    assert [path for path in in_s3.root.rglob("*") if path.is_file()] == []
    assert blobs.put(large(size_mb)).bytes == size_mb * 2**20


def test_damaged_objects_are_not_given_out(in_s3: Home, tmp_path: Path) -> None:
    """An object that was changed in S3 is Damaged, each time it is asked for, and leaves no copy."""
    import obstore

    blobs = open_blobs(in_s3)
    sha256 = blobs.put([b"content"]).sha256
    obstore.put(blobs.store, f"{sha256[:2]}/{sha256}", b"CONTENT")  # type: ignore[attr-defined]
    other = elsewhere(in_s3, tmp_path / "other")
    for _ in range(2):
        with pytest.raises(Damaged, match="not what its name says"):
            open_blobs(other).path(sha256)
    assert [path for path in other.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("changed", "got"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "InvalidAccessKeyId"),
        ({"AWS_ACCESS_KEY_ID": "reader"}, "AccessDenied"),
        ({"AWS_ACCESS_KEY_ID": ""}, "Missing AccessKeyId"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials"),
    ],
)
def test_wrong_credentials(in_s3: Home, settings: pytest.MonkeyPatch, changed: dict[str, str], got: str) -> None:
    """Misconfigured, in words that name what S3 said and the settings to look at."""
    for name, value in changed.items():
        settings.setenv(name, value) if value else settings.delenv(name)
    with pytest.raises(Misconfigured, match=rf"{got}.*Check NANOSMITH_BLOBS") as caught:
        open_blobs(in_s3).put([b"content"])
    assert "Debug source" not in str(caught.value)


def test_no_such_bucket(in_s3: Home) -> None:
    """Misconfigured for each call, never a file that seems to be gone."""
    blobs = open_blobs(msgspec.structs.replace(in_s3, blob_url="s3://no-such-bucket/x"))
    for call in (lambda: blobs.put([b"content"]), lambda: blobs.path("0" * 64), lambda: blobs.remove("0" * 64)):
        with pytest.raises(Misconfigured, match=r"NoSuchBucket|AccessDenied"):
            call()


@pytest.mark.parametrize(
    "url",
    ["", "bucket", "s3:bucket", "s3://", "s3://b", "s3://UPPER/x", "s3://buck/../x", "s3://buck//x", "s3://buck/x?y",
     "file:///x", "https://host/buck", "s3://key:secret@buck/x"],
)  # fmt: skip
def test_wrong_addresses(home: Home, settings: pytest.MonkeyPatch, url: str) -> None:
    """InputError that names the variable and the form, before anything is sent."""
    pytest.importorskip("obstore")
    with pytest.raises(InputError, match=r"NANOSMITH_BLOBS.*s3://BUCKET/PREFIX"):
        open_blobs(msgspec.structs.replace(home, blob_url=url))


@pytest.mark.parametrize("url", ["s3://buck", "s3://buck/", "s3://my.buck-1/a", "s3://buck/a/b.c_d/"])
def test_right_addresses(home: Home, settings: pytest.MonkeyPatch, url: str) -> None:
    """Opening asks nothing of the network."""
    pytest.importorskip("obstore")
    assert open_blobs(msgspec.structs.replace(home, blob_url=url))


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_ENDPOINT_URL", "nonsense"), ("AWS_ENDPOINT_URL", "http://"), ("AWS_ENDPOINT_URL_S3", "http://a b"),
     ("AWS_CHECKSUM_ALGORITHM", "foo")],
)  # fmt: skip
def test_settings_that_cannot_be(home: Home, settings: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Misconfigured when it is opened."""
    pytest.importorskip("obstore")
    settings.setenv(name, value)
    with pytest.raises(Misconfigured, match=value):
        open_blobs(msgspec.structs.replace(home, blob_url="s3://buck/x"))


def test_without_the_extra(home: Home, settings: pytest.MonkeyPatch) -> None:
    """MissingExtra with the pip line, when it is opened; a folder needs no extra."""
    settings.setitem(sys.modules, "obstore", None)
    for name in ("nanosmith.store.blobs.s3", "nanosmith.store.blobs.s3_errors"):
        settings.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtra, match=r"obstore.*nanosmith\[s3\]"):
        open_blobs(msgspec.structs.replace(home, blob_url="s3://buck/x"))
    assert open_blobs(home)


def a_copy(cache: BlobCache, content: bytes, *, used_s_ago: float) -> str:
    name = hashlib.sha256(content).hexdigest()
    cache.folder.mkdir(parents=True, exist_ok=True)
    (cache.folder / name).write_bytes(content)
    os.utime(cache.folder / name, (time.time() - used_s_ago,) * 2)
    return name


def test_those_not_used_for_longest_go_first(tmp_path: Path) -> None:
    """Copies of all projects share one bound; being asked for counts as use."""
    mine, theirs = (BlobCache(tmp_path, project, max_bytes=100, keep_s=60) for project in ("mine", "theirs"))
    oldest, old = a_copy(mine, b"a" * 40, used_s_ago=300), a_copy(theirs, b"b" * 40, used_s_ago=200)
    assert mine.find(oldest)
    mine.make_room(20)
    assert mine.find(oldest)
    assert theirs.find(old)
    os.utime(theirs.folder / old, (0, 0))
    mine.make_room(21)
    assert mine.find(oldest)
    assert theirs.find(old) is None


def test_what_was_just_used_stays(tmp_path: Path) -> None:
    """Over the bound, a copy that somebody may be about to open stays, and one larger than the bound has its place."""
    cache = BlobCache(tmp_path, "mine", max_bytes=10, keep_s=60)
    recent, old = a_copy(cache, b"a" * 40, used_s_ago=1), a_copy(cache, b"b", used_s_ago=100)
    cache.make_room(500)
    assert cache.find(recent)
    assert cache.find(old) is None


def test_unfinished_copies_are_swept(tmp_path: Path) -> None:
    """What a killed process left goes; what this one is writing stays, however old."""
    cache = BlobCache(tmp_path, "mine", max_bytes=10, keep_s=0)
    cache.folder.mkdir()
    for name in (f"{PART}999999999-x", f"{PART}{os.getpid()}-x"):
        (cache.folder / name).write_bytes(bytes(40))
        os.utime(cache.folder / name, (0, 0))
    cache.make_room(1)
    assert [path.name for path in cache.folder.iterdir()] == [f"{PART}{os.getpid()}-x"]


def test_reading_keeps_the_bound(in_s3: Home, tmp_path: Path) -> None:
    """A machine that reads many files keeps no more copies than the bound allows."""
    made = [open_blobs(in_s3).put([bytes([i]) * 1000]).sha256 for i in range(5)]
    other = open_blobs(elsewhere(in_s3, tmp_path / "other"))
    other.cache = BlobCache(tmp_path / "copies", "default", max_bytes=2500, keep_s=-1)  # type: ignore[attr-defined]
    for sha256 in made:
        assert other.path(sha256).stat().st_size == 1000
    assert len(list((tmp_path / "copies").rglob("?" * 64))) == 2
    with pytest.raises(NotFound):
        other.path("0" * 64)
