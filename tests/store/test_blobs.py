"""Uploaded files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanosmith.core.errors import NotFound, StorageFull
from nanosmith.store.blobs import BlobFolder

WRITER = """
import itertools, os, sys
from pathlib import Path
from nanosmith.store.blobs import BlobFolder
blobs = BlobFolder(Path(sys.argv[1]))
for i in itertools.count():
    blob = blobs.put([os.urandom(3000), b"x" * i])
    os.write(1, f"{blob.sha256} {blob.bytes}\\n".encode())
"""


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_name_is_the_digest(tmp_path: Path) -> None:
    """The same content is stored once, whatever its chunks."""
    blobs = BlobFolder(tmp_path / "blobs")
    first, second = blobs.put([b"ab", b"", b"c"]), blobs.put(iter([b"a", b"bc"]))
    assert first == second
    assert (first.sha256, first.bytes) == (hashlib.sha256(b"abc").hexdigest(), 3)
    assert blobs.path(first.sha256).read_bytes() == b"abc"
    assert len(files_in(blobs.root)) == 1


@given(chunks=st.lists(st.binary(max_size=100), max_size=5))
@settings(max_examples=25, deadline=None)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]) -> None:
    """Any bytes come back as they were."""
    blobs = BlobFolder(tmp_path_factory.getbasetemp() / "any-blobs")
    blob = blobs.put(chunks)
    assert blobs.path(blob.sha256).read_bytes() == b"".join(chunks)
    assert blob.bytes == len(b"".join(chunks))


def test_unknown_digest(tmp_path: Path) -> None:
    """NotFound, also where no blob was ever put."""
    with pytest.raises(NotFound):
        BlobFolder(tmp_path / "blobs").path("0" * 64)


def test_broken_source_leaves_nothing(tmp_path: Path) -> None:
    """An upload that breaks off is not stored, in no part."""

    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError("gone")

    blobs = BlobFolder(tmp_path / "blobs")
    with pytest.raises(ConnectionError):
        blobs.put(chunks())
    assert not files_in(blobs.root)


def test_full_disk_leaves_nothing(tiny_disk: Path) -> None:
    """StorageFull in words; what was there stays, and smaller blobs still fit."""
    blobs = BlobFolder(tiny_disk / "blobs")
    kept = blobs.put([b"kept"])
    with pytest.raises(StorageFull, match="the disk is full"):
        blobs.put(bytes(64 * 1024) for _ in range(100))
    assert files_in(tiny_disk) == [blobs.path(kept.sha256)]
    assert blobs.put([b"also"]).bytes == 4


def test_acknowledged_blobs_survive_kill(tmp_path: Path) -> None:
    """Killed again and again while storing: every digest that was given out names a whole blob."""
    acknowledged = []
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "blobs")], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(0.05)
        writer.kill()
        rest, _ = writer.communicate()
        acknowledged += [line.split() for line in (first + rest).decode().splitlines() if line.count(" ") == 1]
    blobs = BlobFolder(tmp_path / "blobs")
    assert len(acknowledged) >= 4
    for sha256, size in acknowledged:
        content = blobs.path(sha256).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
        assert len(content) == int(size)
    named = [path for path in files_in(blobs.root) if not path.name.startswith(".part-")]
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in named)
