"""Blobs in a content-addressed folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nanosmith.core.errors import NotFound
from nanosmith.store.atomic import sync_folder
from nanosmith.store.blobs.blob import Blob, spooled


class BlobFolder:
    """Blobs under `root/ab/abcd…`, named by SHA-256 (hex)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, chunks: Iterable[bytes]) -> Blob:
        """Store the joined chunks durably. Raises StorageFull; then nothing is left behind."""
        with spooled(self.root, chunks) as (staged, blob):
            path = self._path(blob.sha256)
            path.parent.mkdir(exist_ok=True)
            staged.replace(path)
            sync_folder(path.parent)
            sync_folder(self.root)
        return blob

    def path(self, sha256: str) -> Path:
        """Where a blob lies. Raises NotFound."""
        path = self._path(sha256)
        if not path.is_file():
            raise NotFound("no blob with this digest", got=sha256)
        return path

    def remove(self, sha256: str) -> None:
        """Forget a blob; nothing happens when there is none."""
        self._path(sha256).unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256
