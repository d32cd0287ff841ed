"""A stored file, what keeps such files, and the first half of storing one."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from nanosmith.store.atomic import disk_errors, make_folders, part_prefix, require_room, sync


class Blob(msgspec.Struct, frozen=True):
    sha256: str
    bytes: int


class Blobs(Protocol):
    """The uploads of one project, named by SHA-256 (hex)."""

    def put(self, chunks: Iterable[bytes]) -> Blob:
        """Store the joined chunks durably. Raises StorageFull, Unavailable, Misconfigured; then nothing is stored."""

    def path(self, sha256: str) -> Path:
        """A local file with the content. Raises NotFound, StorageFull, Unavailable, Misconfigured, Damaged."""

    def remove(self, sha256: str) -> None:
        """Forget a blob; nothing happens when there is none. Raises Unavailable, Misconfigured."""


@contextmanager
def spooled(folder: Path, chunks: Iterable[bytes]) -> Iterator[tuple[Path, Blob]]:
    """The joined chunks in a file of `folder` that is flushed to the disk, and gone after the block unless moved away.

    Raises StorageFull.
    """
    digest, size = hashlib.sha256(), 0
    make_folders(folder)
    with disk_errors(folder), tempfile.NamedTemporaryFile(dir=folder, prefix=part_prefix(), delete=False) as file:
        try:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                require_room(folder)
                file.write(chunk)
            file.flush()
            sync(file.fileno())
            yield Path(file.name), Blob(digest.hexdigest(), size)
        finally:
            Path(file.name).unlink(missing_ok=True)
