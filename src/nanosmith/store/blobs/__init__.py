"""Uploaded files by their digest: temp → digest → fsync → rename, in a folder or in S3; then the name is given out."""

from __future__ import annotations

from nanosmith.core.errors import MissingExtra
from nanosmith.store.blobs.blob import Blob, Blobs
from nanosmith.store.blobs.folder import BlobFolder
from nanosmith.store.home import Home

__all__ = ["Blob", "BlobFolder", "Blobs", "open_blobs"]


def open_blobs(home: Home) -> Blobs:
    """Where this project's uploads lie. Asks nothing of the network.

    Raises InputError (an address that cannot be), Misconfigured (settings that cannot be), MissingExtra.
    """
    if home.blob_url is None:
        return BlobFolder(home.blobs)
    try:
        from nanosmith.store.blobs.s3 import open_s3
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "obstore", "s3") from error
    return open_s3(home.blob_url, home.project, home.cache / "blobs")
