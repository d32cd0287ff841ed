"""Writing whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nanosmith
from nanosmith.core.errors import StorageFull
from nanosmith.store.atomic import (
    PART,
    SYNC_FAILED,
    atomic_file,
    disk_errors,
    make_folders,
    sweep_parts,
    sync,
    sync_folder,
    write_atomic,
)
from nanosmith.store.blobs import BlobFolder

TWO_BLOBS = """
import os, sys
from pathlib import Path
from nanosmith.store.blobs import BlobFolder
for content in (b"first", b"second"):
    os.write(1, BlobFolder(Path(sys.argv[1])).put([content]).sha256.encode() + b"\\n")
"""


class Ended(BaseException):
    """What a test raises in place of the end of the process."""


@pytest.fixture(scope="session")
def strace(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that makes one fsync of a child fail with EIO, as the kernel would; its last part is open."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("no strace; install it with: apt-get install strace")
    command = [program, "-f", "-qq", "-o", str(tmp_path_factory.mktemp("strace") / "calls"), "-e", "trace=fsync"]
    tried = subprocess.run([*command, "-e", "inject=fsync:error=EIO:when=1", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"strace cannot be used here: {tried.stderr.strip()}")
    return [*command, "-e"]


def test_replaces_whole(tmp_path: Path) -> None:
    """A new content takes the place of the old; missing folders are made."""
    path = tmp_path / "a" / "b"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [file.name for file in path.parent.iterdir()] == ["b"]


def test_error_keeps_the_old_content(tmp_path: Path) -> None:
    """A block that raises leaves the old file and nothing else."""
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.writelines([b"half", "half"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk(tiny_disk: Path) -> None:
    """StorageFull, the old content stays, nothing else does."""
    path = tiny_disk / "file"
    write_atomic(path, b"old")
    with pytest.raises(StorageFull):
        write_atomic(path, bytes(2 * 1024 * 1024))
    assert path.read_bytes() == b"old"
    assert list(tiny_disk.iterdir()) == [path]


def test_other_errors_pass(tmp_path: Path) -> None:
    """Only "no space left" is translated."""
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "nowhere").read_bytes()


def test_sweeping(tmp_path: Path) -> None:
    """What dead processes left unfinished goes; what a living one writes, and finished files, stay."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f"{PART}{gone.pid}-folder" / "deep").mkdir(parents=True)
    for name in (f"{PART}{gone.pid}-file", f"{PART}{os.getpid()}-file", f"{PART}old", "finished"):
        (tmp_path / name).touch()
    sweep_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"{PART}{os.getpid()}-file", "finished"])
    sweep_parts(tmp_path / "nowhere")


def test_made_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each missing folder is made and its parent flushed; those that are there are left alone."""
    flushed: list[Path] = []
    monkeypatch.setattr("nanosmith.store.atomic.sync_folder", flushed.append)
    make_folders(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert flushed == [tmp_path, tmp_path / "a"]
    make_folders(tmp_path / "a" / "b")
    assert len(flushed) == 2


def test_all_flush_by_sync() -> None:
    """No other file of the package calls fsync by itself: its failure would be missed."""
    sources = Path(nanosmith.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "fsync(" in path.read_text(encoding="utf-8")] == ["atomic.py"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EBADF, errno.EROFS, errno.ENXIO])
def test_failed_disk_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    """One line on stderr and status 74, before anything else can run or be answered."""
    ended: list[int] = []

    def end(status: int) -> None:
        ended.append(status)
        raise Ended

    def failed(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("nanosmith.store.atomic.os.fsync", failed)
    monkeypatch.setattr("nanosmith.store.atomic.os._exit", end)
    for write in (lambda: sync(0), lambda: write_atomic(tmp_path / "x", b"x"), lambda: sync_folder(tmp_path)):
        with pytest.raises(Ended):
            write()
    assert ended == [SYNC_FAILED] * 3 == [74] * 3
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all("the disk did not keep" in line and os.strerror(number) in line for line in lines)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EINVAL])
def test_full_disk_does_not_end_the_process(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """An fsync that failed for want of space, or where there is nothing to flush, is an error like others."""

    def failed(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("nanosmith.store.atomic.os.fsync", failed)
    with pytest.raises(OSError, match=os.strerror(number)):
        sync(0)


def test_failed_disk_by_the_kernel(strace: list[str], tmp_path: Path) -> None:
    """Whichever fsync fails: status 74, one line, and nothing is given out from there on; what was, is there."""
    digests = [hashlib.sha256(content).hexdigest() for content in (b"first", b"second")]
    failures = 0
    while True:
        root = tmp_path / f"blobs-{failures}"
        command = [*strace, f"inject=fsync:error=EIO:when={failures + 1}", sys.executable, "-c", TWO_BLOBS, str(root)]
        done = subprocess.run(command, capture_output=True, text=True)
        given = done.stdout.split()
        assert given == digests[: len(given)]
        assert [BlobFolder(root).path(sha256).is_file() for sha256 in given] == [True] * len(given)
        if not done.returncode:
            break
        assert done.returncode == SYNC_FAILED, done.stderr
        assert len(given) < 2
        assert done.stderr.count("\n") == 1
        assert "Input/output error" in done.stderr
        failures += 1
    assert given == digests
    assert failures >= 6
