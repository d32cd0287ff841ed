"""Uploaded files in a content-addressed folder: temp → digest → fsync → rename, then the name is given out."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from nanosmith.core.errors import NotFound
from nanosmith.store.atomic import disk_errors, part_prefix, sync_folder


class Blob(msgspec.Struct, frozen=True):
    sha256: str
    bytes: int


class BlobFolder:
    """Blobs under `root/ab/abcd…`, named by SHA-256 (hex)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, chunks: Iterable[bytes]) -> Blob:
        """Store the joined chunks durably. Raises StorageFull; then nothing is left behind."""
        digest, size = hashlib.sha256(), 0
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.root, prefix=part_prefix(), delete=False) as file:
                try:
                    for chunk in chunks:
                        digest.update(chunk)
                        size += len(chunk)
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                    self._keep(Path(file.name), digest.hexdigest())
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        return Blob(digest.hexdigest(), size)

    def _keep(self, staged: Path, sha256: str) -> None:
        path = self.root / sha256[:2] / sha256
        path.parent.mkdir(exist_ok=True)
        staged.replace(path)
        sync_folder(path.parent)
        sync_folder(self.root)

    def path(self, sha256: str) -> Path:
        """Where a blob lies. Raises NotFound."""
        path = self.root / sha256[:2] / sha256
        if not path.is_file():
            raise NotFound("no blob with this digest", got=sha256)
        return path

    def remove(self, sha256: str) -> None:
        """Forget a blob; nothing happens when there is none."""
        (self.root / sha256[:2] / sha256).unlink(missing_ok=True)
