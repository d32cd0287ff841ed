"""Local copies of blobs that lie elsewhere: bounded in size, those not used for longest go first."""

from __future__ import annotations

import os
import time
from pathlib import Path

from nanosmith.store.atomic import make_folders, sweep_parts

MAX_CACHE_BYTES = 10 * 1024**3
KEEP_S = 3600
"""Used less long ago than this, a copy stays although the cache is over its bound: whoever asked may not have opened
it yet."""


class BlobCache:
    """Copies of one project under `root/PROJECT/abcd…`. When one was used is its modification time; the bound is for
    all projects together."""

    def __init__(self, root: Path, project: str, *, max_bytes: int = MAX_CACHE_BYTES, keep_s: float = KEEP_S) -> None:
        self.root = root
        self.folder = root / project
        self.max_bytes = max_bytes
        self.keep_s = keep_s

    def find(self, sha256: str) -> Path | None:
        path = self.folder / sha256
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def add(self, staged: Path, sha256: str) -> Path:
        """Move a finished file of `folder` in."""
        return staged.replace(self.folder / sha256)

    def remove(self, sha256: str) -> None:
        (self.folder / sha256).unlink(missing_ok=True)

    def make_room(self, size_bytes: int) -> None:
        """Remove what was not used for longest until `size_bytes` more fit, and what killed processes left."""
        make_folders(self.folder)
        sweep_parts(self.folder)
        copies = sorted(found for path in self.root.glob("*/[!.]*") if (found := _used(path)))
        too_much = sum(size for _, size, _ in copies) + size_bytes - self.max_bytes
        for used_s, size, path in copies:
            if too_much <= 0 or used_s > time.time() - self.keep_s:
                return
            path.unlink(missing_ok=True)
            too_much -= size


def _used(path: Path) -> tuple[float, int, Path] | None:
    """When a copy was used (Unix seconds) and its size (bytes); None when another process has just removed it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime, found.st_size, path
