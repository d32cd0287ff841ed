"""Blobs in storage that speaks S3: one object each, `PREFIX/PROJECT/ab/abcd…`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import S3Store

from nanosmith.core.errors import Damaged, InputError, Misconfigured, NotFound
from nanosmith.store.blobs.blob import Blob, spooled
from nanosmith.store.blobs.cache import BlobCache
from nanosmith.store.blobs.s3_errors import s3_errors
from nanosmith.store.home import BLOBS_VARIABLE

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

PART_BYTES = 5 * 1024**2
"""Larger files are sent in several parts and read in several ranges. S3 takes no smaller parts than 5 MiB."""
PARALLEL_PARTS = 4
ENDPOINT = re.compile(r"https?://([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?(/[\w./-]*)?", re.ASCII)
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[\w.-]*[\w-])*)/?", re.ASCII)
RETRY: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}
TIMEOUTS: ClientConfig = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=60)}


def open_s3(url: str, project: str, cache: Path) -> S3Blobs:
    """`url` as s3://BUCKET/PREFIX; endpoint and credentials from AWS_*; copies under `cache`.

    Raises InputError, Misconfigured.
    """
    parts = ADDRESS.fullmatch(url)
    if parts is None:
        raise InputError("not an address of blobs", where=BLOBS_VARIABLE, got=url, allowed="s3://BUCKET/PREFIX")
    with s3_errors(url):
        store = S3Store(
            parts["bucket"],
            prefix=f"{parts['prefix']}/{project}".removeprefix("/"),
            client_options={**TIMEOUTS, "allow_http": _is_plain_http()},
            retry_config=RETRY,
            disable_bulk_delete=True,  # not every storage has that call
            # A server compares this digest with the body; not every one compares what is signed.
            checksum_algorithm=os.environ.get("AWS_CHECKSUM_ALGORITHM") or "SHA256",
        )
    return S3Blobs(store, url, BlobCache(cache, project))


def _is_plain_http() -> bool:
    """Whether the endpoint wants no encryption. Raises Misconfigured when it is no address: obstore would abort."""
    name = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    if name is None:
        return False
    endpoint = os.environ[name]
    if not ENDPOINT.fullmatch(endpoint):
        raise Misconfigured(
            "not an address of a server", where=name, got=endpoint, allowed="https://HOST or http://HOST"
        )
    return endpoint.startswith("http://")


class S3Blobs:
    """Objects of `store`, and local copies of them in `cache`; `url` is for messages."""

    def __init__(self, store: S3Store, url: str, cache: BlobCache) -> None:
        self.store = store
        self.url = url
        self.cache = cache

    def put(self, chunks: Iterable[bytes]) -> Blob:
        """Store the joined chunks. Raises StorageFull, Unavailable, Misconfigured, Damaged."""
        with spooled(self.cache.folder, chunks) as (staged, blob):
            self.cache.make_room(blob.bytes)
            self._send(staged, blob)
            self.cache.add(staged, blob.sha256)
        return blob

    def path(self, sha256: str) -> Path:
        """A local copy. Raises NotFound, StorageFull, Unavailable, Misconfigured, Damaged."""
        return self.cache.find(sha256) or self._fetch(sha256)

    def remove(self, sha256: str) -> None:
        """Forget a blob; nothing happens when there is none. Raises Unavailable, Misconfigured."""
        with s3_errors(self.url):
            self.store.delete(_key(sha256))
        self.cache.remove(sha256)

    def _send(self, staged: Path, blob: Blob) -> None:
        """The upload of several parts that breaks off is aborted; the object appears when its last part is there."""
        with s3_errors(self.url), staged.open("rb") as file:
            obstore.put(self.store, _key(blob.sha256), file, chunk_size=PART_BYTES, max_concurrency=PARALLEL_PARTS)
        if (size := self._size(blob.sha256)) != blob.bytes:
            raise self._damaged("the object has the wrong size", f"{size} bytes", f"{blob.bytes} bytes")

    def _fetch(self, sha256: str) -> Path:
        size = self._size(sha256)
        if size is None:
            raise NotFound("no blob with this digest", got=sha256)
        self.cache.make_room(size)
        with spooled(self.cache.folder, self._ranges(sha256, size)) as (staged, blob):
            if blob != Blob(sha256, size):
                raise self._damaged("an object is not what its name says", f"SHA-256 {blob.sha256}", sha256)
            return self.cache.add(staged, sha256)

    def _ranges(self, sha256: str, size: int) -> Iterator[bytes]:
        """One request each, so that a large file has no time limit as a whole."""
        for start in range(0, size, PART_BYTES):
            with s3_errors(self.url):
                part = self.store.get_range(_key(sha256), start=start, end=min(start + PART_BYTES, size))
            yield part.to_bytes()

    def _size(self, sha256: str) -> int | None:
        """Bytes of an object; None when the bucket has no such one."""
        with s3_errors(self.url):
            try:
                return self.store.head(_key(sha256))["size"]
            except FileNotFoundError:
                self.store.list(_key(sha256)).collect()  # unlike HEAD it tells when there is no bucket
                return None

    def _damaged(self, what: str, got: str, allowed: str) -> Damaged:
        return Damaged(
            what, where=self.url, got=got, allowed=allowed, remedy="Send the file again.", code="damaged_blob"
        )


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
