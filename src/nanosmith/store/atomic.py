"""Writing that is either whole or absent: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from nanosmith.core.errors import StorageFull

FULL = (errno.ENOSPC, errno.EDQUOT)
SYNC_FAILED = 74  # EX_IOERR of sysexits.h
STDERR = 2
PART = ".part-"
DISK_FULL = "the disk is full"
DISK_FAILED = "the disk did not keep what was written"
FREE_SPACE = "Free some space, or name another folder with NANOSMITH_HOME."
RESERVED_BYTES = 1024**2
RESERVED_SHARE = 64
"""Of a disk, RESERVED_BYTES or one part in RESERVED_SHARE is left for deletions, and for saying what went wrong."""


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


def require_room(folder: Path) -> None:
    """Raises StorageFull when nothing new may be put on the disk of `folder`."""
    disk = shutil.disk_usage(folder)
    if disk.free < min(RESERVED_BYTES, disk.total // RESERVED_SHARE):
        raise StorageFull(DISK_FULL, where=str(folder), remedy=FREE_SPACE)


def sync(handle: int) -> None:
    """Flush a file descriptor to the disk, as every fsync of this package. When the disk fails, the process ends.

    After a failed fsync Linux may call the lost pages clean, so that a second fsync succeeds without them (Rebello et
    al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020): nothing is sure that would be said then.
    A full disk (ENOSPC, EDQUOT) and a file that cannot be flushed (EINVAL) raise OSError.
    """
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in (*FULL, errno.EINVAL):
            raise
        stop_process(error)


def stop_process(error: object) -> NoReturn:
    """End this process at once, as the disk failed to keep something."""
    line = f"nanosmith: {DISK_FAILED} ({error}); stopped. Check the disk, then start again.\n"
    with suppress(OSError):
        os.write(STDERR, line.encode())
    os._exit(SYNC_FAILED)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` survive a power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)


def make_folders(folder: Path) -> None:
    """Create `folder` and its missing parents so that they survive a power loss. Raises StorageFull."""
    if not folder.is_dir():
        make_folders(folder.parent)
        with disk_errors(folder.parent):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under `path` whole, and only if the block ends without an error."""
    make_folders(path.parent)
    with disk_errors(path.parent):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=part_prefix())
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                sync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_atomic(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def write_once(path: Path, content: bytes) -> None:
    """Write a file, with mode 0600, unless there is one: of several processes that do so, the first one's stays."""
    make_folders(path.parent)
    with disk_errors(path.parent):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=part_prefix())  # with mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                sync(file.fileno())
            with suppress(FileExistsError):
                os.link(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
        sync_folder(path.parent)
