"""Blobs and the rows that name them. Bytes are stored first, then the row that names them; bytes without a row go.

Between the two steps equal bytes may be removed with another row, by any process. So a row is added, and a blob is
removed, under one lock that all of them know.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from nanosmith.core.errors import NotFound, Unavailable
from nanosmith.store.blobs import Blob, BlobFolder, Blobs
from nanosmith.store.ledger import Ledger

Result = TypeVar("Result")
LOCK = "blobs"
UPLOAD_PART = "upload.part"
"""Documents of parts of uploads; each has the digest of its bytes in its metadata, as `sha256`."""
FORGOTTEN_S = 24 * 3600
"""Bytes that nothing has named for so long belong to a process that was killed before it could."""


def name_blob(ledger: Ledger, blobs: Blobs, blob: Blob, write: Callable[[], Result]) -> Result:
    """Run `write`, which adds a row that names the stored bytes. Raises Unavailable when they are gone again."""
    with ledger.database.exclusively(LOCK):
        try:
            blobs.path(blob.sha256)
        except NotFound:
            raise Unavailable(
                "equal bytes were deleted while these were stored", remedy="Send them again.", code="try_again"
            ) from None
        return write()


def remove_unused(ledger: Ledger, blobs: Blobs, sha256: str, forget: Callable[[], object] = lambda: None) -> None:
    """Run `forget`, which deletes a row, and remove the bytes unless another row names them."""
    with ledger.database.exclusively(LOCK):
        forget()
        if not _is_named(ledger, sha256):
            blobs.remove(sha256)


def sweep_unnamed(ledger: Ledger, blobs: BlobFolder) -> None:
    """Remove the bytes that nothing names and that are older than FORGOTTEN_S."""
    until = time.time() - FORGOTTEN_S
    for path in blobs.root.glob("??/*"):
        with ledger.database.exclusively(LOCK):
            if path.is_file() and path.stat().st_mtime < until and not _is_named(ledger, path.name):
                blobs.remove(path.name)


def _is_named(ledger: Ledger, sha256: str) -> bool:
    in_parts = ledger.documents(UPLOAD_PART, metadata={"sha256": sha256}, limit=1)
    return bool(in_parts) or ledger.blob_is_used(sha256)
