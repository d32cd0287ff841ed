"""SQLite, in WAL mode with synchronous=FULL: with NORMAL, a power loss may take committed transactions back."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event

from nanosmith.core.errors import Damaged, NanosmithError, StorageFull
from nanosmith.store.atomic import DISK_FULL, FREE_SPACE, require_room, stop_process

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

Result = TypeVar("Result")
BUSY_S = 30
FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
REFUSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
AWAY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
SYNC_FAILED = (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC)
CHECKPOINT_AFTER = 100
"""Commits of this process after which what is in the write-ahead log goes into the database file."""
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_S * 1000}", "wal_autocheckpoint=0")


class Sqlite:
    """See nanosmith.store.ledger.database.Dialect.

    SQLite's own checkpoints, within commits, pass over an fsync that fails; the next one may then succeed without the
    lost pages (see nanosmith.store.atomic.sync), and the log be given up. So they are off, and done by `_checkpoint`.
    """

    now = "((julianday('now') - 2440587.5) * 86400.0)"

    def __init__(self, url: sa.URL) -> None:
        self.file = Path(url.database or "")
        self.engine = _engine(url)
        # Reading needs no transaction, so nothing has to be rolled back when a connection goes back to the pool.
        self.reader = _engine(
            url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, skip_autocommit_rollback=True
        )
        self._commits = 0
        self._lock = threading.Lock()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def writing(self, work: Callable[[sa.Connection], Result]) -> Iterator[Callable[[sa.Connection], Result]]:
        def whole(link: sa.Connection) -> Result:
            self.alone(link)
            return work(link)

        yield whole
        self._committed()

    def alone(self, link: sa.Connection) -> None:
        """From the start: a reader that becomes a writer later could not wait for another writer."""
        link.exec_driver_sql("BEGIN IMMEDIATE")

    @contextmanager
    def exclusively(self, name: str) -> Iterator[None]:
        """By a lock on a file beside the database, which goes with its process."""
        handle = os.open(self.file.with_name(f"{self.file.name}.{name}-lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self._turns[name]:  # where there is no flock, as on Windows, threads still wait for each other
                if fcntl is not None:
                    fcntl.flock(handle, fcntl.LOCK_EX)
                yield
        finally:
            os.close(handle)

    def require_room(self) -> None:
        require_room(self.file.parent)

    def close(self) -> None:
        if self._commits:
            self._checkpoint()
        for engine in (self.reader, self.engine):
            engine.dispose()

    def check(self, error: sa.exc.DBAPIError) -> None:
        """Raises StorageFull, Damaged or NanosmithError. Ends the process when an fsync failed."""
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code in SYNC_FAILED:
            stop_process(error.orig)
        if code in FULL:
            raise StorageFull(DISK_FULL, where=str(self.file.parent), remedy=FREE_SPACE) from error
        if code in DAMAGED:
            raise Damaged(
                "the database is damaged", where=str(self.file), got=str(error.orig), code="damaged_database",
                remedy="Put a copy of it in its place, or name another folder with NANOSMITH_HOME.",
            ) from error  # fmt: skip
        if code is not None and code & 0xFF in REFUSED:
            raise NanosmithError(
                "the database cannot be used", where=str(self.file), got=str(error.orig),
                remedy="Check that its folder is there, and that it may be written.", code="database_refused",
            ) from error  # fmt: skip

    def is_away(self, error: sa.exc.DBAPIError) -> bool:
        """Other writers took BUSY_S."""
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in AWAY

    def _committed(self) -> None:
        with self._lock:
            self._commits += 1
            is_due = self._commits >= CHECKPOINT_AFTER
        if is_due:
            self._checkpoint()

    def _checkpoint(self) -> None:
        """As much as can be done while others read. What was committed is safe in the log if that fails."""
        self._commits = 0
        with suppress(sa.exc.DBAPIError, StorageFull):
            try:
                with self.reader.connect() as link:
                    link.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()
            except sa.exc.DBAPIError as error:
                self.check(error)


def _engine(url: sa.URL, **options: Any) -> sa.Engine:
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_S}, **options)
    event.listen(engine, "connect", _durable)
    return engine


def _durable(connection: Any, _record: Any) -> None:
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
