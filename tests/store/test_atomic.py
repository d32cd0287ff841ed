"""Writing whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanosmith.core.errors import StorageFull
from nanosmith.store.atomic import PART, atomic_file, disk_errors, sweep_parts, write_atomic


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
