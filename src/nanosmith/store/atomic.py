"""Writing that is either whole or absent: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nanosmith.core.errors import StorageFull

FULL = (errno.ENOSPC, errno.EDQUOT)
PART = ".part-"
DISK_FULL = "the disk is full"
FREE_SPACE = "Free some space, or name another folder with NANOSMITH_HOME."


def part_prefix() -> str:
    """How names of what this process has not finished begin. Killed, it leaves them to `sweep_parts`."""
    return f"{PART}{os.getpid()}-"


def sweep_parts(folder: Path) -> None:
    """Remove what processes that are no more left unfinished in `folder`."""
    for path in folder.glob(f"{PART}*"):
        pid = path.name.removeprefix(PART).partition("-")[0]
        if not (pid.isdecimal() and process_exists(int(pid))):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn "no space left" from anything inside into StorageFull, naming the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(DISK_FULL, where=str(path), remedy=FREE_SPACE) from error
        raise


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` survive a power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under `path` whole, and only if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(path.parent):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=part_prefix())
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_atomic(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)
