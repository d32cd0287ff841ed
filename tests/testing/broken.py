"""What can be wrong with the product: each function breaks it in the process that calls it, for the fault kit to find.

They are named to the kit as "tests.testing.broken:NAME".
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import Unavailable
from nanosmith.jobs import leftovers
from nanosmith.jobs.watch import LedgerWatch
from nanosmith.store import atomic, checkpoints
from nanosmith.store.blobs import Blob, BlobFolder, blob, folder
from nanosmith.store.ledger import rows
from nanosmith.testing import slow_tune

LATE_S = 1.0


def late_commits() -> None:
    """Rows are acknowledged first and committed a second later."""
    add = rows.Rows.add

    def later(self: rows.Rows, *given: Any) -> None:
        threading.Timer(LATE_S, add, (self, *given)).start()

    rows.Rows.add = later  # type: ignore[method-assign]


def two_models(train: Any, *, settings: Any, **given: Any) -> Any:
    """A flow that announces its final model under a second name too, a new one at each attempt."""
    other = msgspec.structs.replace(settings, name=f"{settings.name}-{os.getpid()}", epochs=1)
    slow_tune(train, settings=other, step_s=0, **given)
    return slow_tune(train, settings=settings, **given)


def half_blobs() -> None:
    """Bytes are written under their final name, a half at a time."""

    def put(self: BlobFolder, chunks: Iterable[bytes]) -> Blob:
        content = b"".join(chunks)
        made = Blob(hashlib.sha256(content).hexdigest(), len(content))
        path = self._path(made.sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as file:
            for half in (content[: len(content) // 2], content[len(content) // 2 :]):
                file.write(half)
                os.fsync(file.fileno())
        return made

    BlobFolder.put = put  # type: ignore[method-assign]


def states_in_place() -> None:
    """A training state is written over the one before it, without a place of its own."""

    def save(states: Path, step: int, write: Callable[[Path], None], **_: Any) -> None:
        shutil.rmtree(states, ignore_errors=True)
        place = states / f"step-{step:09d}"
        place.mkdir(parents=True)
        write(place)
        checkpoints.sync_tree(place)

    checkpoints.save = save


def deaf_to_the_disk() -> None:
    """A failed flush passes unnoticed."""

    def sync(handle: int) -> None:
        try:
            os.fsync(handle)
        except OSError:
            return

    atomic.sync = blob.sync = sync
    atomic.stop_process = lambda _: None  # type: ignore[assignment]
    folder.sync_folder = lambda _: None  # type: ignore[assignment]


def leftovers_on_a_full_disk() -> None:
    """What did not fit stays where it is."""
    Path.unlink = lambda *_, **__: None  # type: ignore[method-assign,assignment]


def trusting() -> None:
    """The newest training state is taken for right."""
    checkpoints._check = lambda *_: None  # type: ignore[assignment]


def forgetful() -> None:
    """No training state is kept."""
    checkpoints.save = lambda *_, **__: None  # type: ignore[assignment]


def without_fences() -> None:
    """Writes do not look at the lease."""
    rows.hold = lambda *_: None  # type: ignore[assignment]


def careless_tidying() -> None:
    """A worker that lost its job removes what it takes for its own."""
    leftovers._check_lease = lambda _: None  # type: ignore[assignment]


def impatient(train: Any, *, watch: LedgerWatch, **given: Any) -> Any:
    """A flow whose figures are dropped when the database is away."""
    told, base = watch.metrics, watch._ledger.database

    def metrics(*given: Any) -> None:
        patience_s, base.patience_s = base.patience_s, 0.0
        with suppress(Unavailable):
            told(*given)
        base.patience_s = patience_s

    watch.metrics = metrics  # type: ignore[method-assign]
    return slow_tune(train, watch=watch, **given)
