"""Blobs and the rows that name them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from nanosmith.core.errors import NotFound, Unavailable
from nanosmith.store.blobs import BlobFolder
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.naming import FORGOTTEN_S, UPLOAD_PART, name_blob, remove_unused, sweep_unnamed
from nanosmith.store.records import Document, FileRow


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = open_ledger(home)
    yield opened
    opened.close()


@pytest.fixture
def blobs(home: Home) -> BlobFolder:
    return BlobFolder(home.blobs)


def file(id: str, sha256: str) -> FileRow:
    return FileRow(id, 1, 1, "x", "user_data", sha256)


def test_bytes_go_with_their_last_row(ledger: Ledger, blobs: BlobFolder) -> None:
    """Two files and a part of an upload with equal bytes: the blob stays until all three rows are gone."""
    blob = blobs.put([b"x"])
    name_blob(ledger, blobs, blob, lambda: ledger.add(file("file-1", blob.sha256), file("file-2", blob.sha256)))
    ledger.add(Document(UPLOAD_PART, "part_1", 1, {}, metadata={"sha256": blob.sha256}))
    remove_unused(ledger, blobs, blob.sha256, lambda: ledger.delete_file("file-1"))
    remove_unused(ledger, blobs, blob.sha256, lambda: ledger.delete_file("file-2"))
    assert blobs.path(blob.sha256).read_bytes() == b"x"
    remove_unused(ledger, blobs, blob.sha256, lambda: ledger.delete_document(UPLOAD_PART, "part_1"))
    with pytest.raises(NotFound):
        blobs.path(blob.sha256)


def test_no_row_names_bytes_that_are_gone(ledger: Ledger, blobs: BlobFolder) -> None:
    """What was removed between storing and naming must be sent again."""
    blob = blobs.put([b"x"])
    remove_unused(ledger, blobs, blob.sha256)
    with pytest.raises(Unavailable, match="Send them again"):
        name_blob(ledger, blobs, blob, lambda: ledger.add_file(file("file-1", blob.sha256)))
    assert ledger.file("file-1") is None


def test_naming_and_removing_take_turns(home: Home, blobs: BlobFolder) -> None:
    """Equal bytes stored, named and removed at once through several ledgers: a row that is there has its bytes."""

    def work(number: int) -> None:
        ledger = open_ledger(home)
        for turn in range(20):
            blob, id = blobs.put([b"equal"]), f"file-{number}-{turn}"
            try:
                name_blob(ledger, blobs, blob, lambda: ledger.add_file(file(id, blob.sha256)))  # noqa: B023
            except Unavailable:
                continue
            blobs.path(blob.sha256)
            remove_unused(ledger, blobs, blob.sha256, lambda: ledger.delete_file(id))  # noqa: B023
        ledger.close()

    failed: list[object] = []
    threads = [threading.Thread(target=lambda n=n: _caught(lambda: work(n), failed)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_sweep(home: Home, ledger: Ledger, blobs: BlobFolder) -> None:
    """Only bytes that are old and that nothing names go."""
    old, new, named = (blobs.put([content]) for content in (b"old", b"new", b"named"))
    ledger.add_file(file("file-1", named.sha256))
    before = time.time() - FORGOTTEN_S - 60
    for blob in (old, named):
        os.utime(blobs.path(blob.sha256), (before, before))
    sweep_unnamed(ledger, blobs)
    assert [path.name for path in sorted(blobs.root.glob("??/*"))] == sorted([new.sha256, named.sha256])


def _caught(work: object, failed: list[object]) -> None:
    try:
        work()  # type: ignore[operator]
    except BaseException as error:
        failed.append(error)
