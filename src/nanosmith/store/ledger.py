"""The ledger: files, jobs, events, checkpoints and models in one database; what was committed survives a crash.

SQLite in WAL mode with synchronous=FULL: with NORMAL, a power loss may take committed transactions back.
"""

from __future__ import annotations

import secrets
import sqlite3
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy import event

from nanosmith.core.errors import StorageFull
from nanosmith.store.atomic import DISK_FULL, FREE_SPACE, disk_errors
from nanosmith.store.records import ENDED, CheckpointRow, EventRow, EventType, FileRow, JobRow, Level, ModelRow

Row = TypeVar("Row", bound=msgspec.Struct)
meta = sa.MetaData()
FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """A random id with the prefix that the API documents, such as "file-" or "ftjob-"."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(24))


def _seq() -> sa.Column[int]:
    """A column that orders rows by insertion: the cursor of every list."""
    return sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True)


files = sa.Table(
    "files", meta, _seq(),
    sa.Column("id", sa.String, unique=True, nullable=False), sa.Column("created_at", sa.Integer, nullable=False),
    sa.Column("bytes", sa.Integer, nullable=False), sa.Column("filename", sa.String, nullable=False),
    sa.Column("purpose", sa.String, nullable=False), sa.Column("sha256", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False), sa.Column("expires_at", sa.Integer),
)  # fmt: skip
jobs = sa.Table(
    "jobs", meta, _seq(),
    sa.Column("id", sa.String, unique=True, nullable=False), sa.Column("created_at", sa.Integer, nullable=False),
    sa.Column("model", sa.String, nullable=False), sa.Column("training_file", sa.String, nullable=False),
    sa.Column("request", sa.JSON, nullable=False), sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("hyperparameters", sa.JSON, nullable=False), sa.Column("status", sa.String, nullable=False),
    sa.Column("validation_file", sa.String), sa.Column("suffix", sa.String), sa.Column("metadata", sa.JSON),
    sa.Column("started_at", sa.Integer), sa.Column("finished_at", sa.Integer),
    sa.Column("estimated_finish", sa.Integer),
    sa.Column("fine_tuned_model", sa.String), sa.Column("trained_tokens", sa.Integer),
    sa.Column("result_files", sa.JSON, nullable=False), sa.Column("error", sa.JSON),
    sa.Column("cancel_requested", sa.Boolean, nullable=False), sa.Column("pid", sa.Integer),
    sa.Column("heartbeat_at", sa.Integer),
)  # fmt: skip
events = sa.Table(
    "events", meta, _seq(),
    sa.Column("id", sa.String, unique=True, nullable=False), sa.Column("job_id", sa.String, nullable=False, index=True),
    sa.Column("created_at", sa.Integer, nullable=False), sa.Column("level", sa.String, nullable=False),
    sa.Column("message", sa.String, nullable=False), sa.Column("type", sa.String, nullable=False),
    sa.Column("data", sa.JSON),
)  # fmt: skip
checkpoints = sa.Table(
    "checkpoints", meta, _seq(),
    sa.Column("id", sa.String, unique=True, nullable=False), sa.Column("job_id", sa.String, nullable=False, index=True),
    sa.Column("created_at", sa.Integer, nullable=False), sa.Column("step_number", sa.Integer, nullable=False),
    sa.Column("model", sa.String, nullable=False), sa.Column("metrics", sa.JSON, nullable=False),
)  # fmt: skip
models = sa.Table(
    "models", meta, _seq(),
    sa.Column("name", sa.String, unique=True, nullable=False), sa.Column("created_at", sa.Integer, nullable=False),
    sa.Column("bundle", sa.String, nullable=False), sa.Column("digest", sa.String, nullable=False),
    sa.Column("base", sa.String, nullable=False), sa.Column("owned_by", sa.String, nullable=False),
    sa.Column("job_id", sa.String),
)  # fmt: skip


class Ledger:
    """All rows. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _durable)
        with self._begin() as link:
            _create(link)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        try:
            with disk_errors(self.path.parent), self._engine.begin() as link:
                yield link
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) in FULL:
                raise StorageFull(DISK_FULL, where=str(self.path), remedy=FREE_SPACE) from error
            raise

    # --- files ---
    def add_file(self, row: FileRow) -> None:
        self._insert(files, row)

    def file(self, id: str) -> FileRow | None:
        return self._one(sa.select(files).where(files.c.id == id), FileRow)

    def delete_file(self, id: str) -> bool:
        return self._delete(files, files.c.id == id)

    def files(
        self, *, purpose: str | None = None, after: str | None = None, limit: int = 10_000, newest_first: bool = True
    ) -> Page[FileRow]:
        query = sa.select(files) if purpose is None else sa.select(files).where(files.c.purpose == purpose)
        return self._page(files, query, FileRow, after=after, limit=limit, newest_first=newest_first)

    def expired_files(self, now: int) -> list[FileRow]:
        with self._begin() as link:
            return [_read(row, FileRow) for row in link.execute(sa.select(files).where(files.c.expires_at <= now))]

    def blob_is_used(self, sha256: str) -> bool:
        """Whether a file still has these bytes."""
        return self._one(sa.select(files).where(files.c.sha256 == sha256).limit(1), FileRow) is not None

    # --- jobs ---
    def add_job(self, row: JobRow, *, also: Sequence[EventRow] = ()) -> None:
        """Store a job and its first events, in one transaction."""
        with self._begin() as link:
            link.execute(_insertion(jobs, row))
            for first in also:
                link.execute(_insertion(events, first))

    def job(self, id: str) -> JobRow | None:
        return self._one(sa.select(jobs).where(jobs.c.id == id), JobRow)

    def jobs(
        self, *, metadata: dict[str, str] | None = None, without_metadata: bool = False,
        after: str | None = None, limit: int = 20,
    ) -> Page[JobRow]:  # fmt: skip
        """Newest first; `metadata` keeps jobs that have all these pairs, `without_metadata` those that have none."""
        query = sa.select(jobs)
        if without_metadata:
            query = query.where(sa.or_(jobs.c.metadata.is_(None), sa.cast(jobs.c.metadata, sa.String) == "null"))
        for key, value in (metadata or {}).items():
            pair = sa.func.json_each(jobs.c.metadata).table_valued("key", "atom")  # a JSON path cannot name every key
            query = query.where(sa.exists().where(pair.c.key == key, pair.c.atom == value))
        return self._page(jobs, query, JobRow, after=after, limit=limit, newest_first=True)

    def update_job(
        self, id: str, *, expect: Mapping[str, Any] | None = None, also: Sequence[EventRow] = (), **values: Any
    ) -> JobRow | None:
        """Set columns of a job that has not ended and whose columns are as in `expect`; the events in `also` are added
        in the same transaction. Returns the new row, or None when nothing was changed."""
        wanted = [jobs.c[column] == value for column, value in (expect or {}).items()]  # == None becomes IS NULL
        change = sa.update(jobs).where(jobs.c.id == id, jobs.c.status.not_in(ENDED), *wanted).values(**values)
        with self._begin() as link:
            if not link.execute(change).rowcount:
                return None
            for row in also:
                link.execute(_insertion(events, row))
        return self.job(id)

    def claim_job(self, id: str, *, pid: int, now: int) -> JobRow | None:
        """Take a queued job for this process: exactly one of several callers gets it, the others get None."""
        claim = sa.update(jobs).where(jobs.c.id == id, jobs.c.status == "queued")
        with self._begin() as link:
            taken = link.execute(claim.values(status="running", pid=pid, heartbeat_at=now, started_at=now)).rowcount
        return self.job(id) if taken else None

    def open_jobs(self) -> list[JobRow]:
        """All jobs that have not ended, oldest first."""
        query = sa.select(jobs).where(jobs.c.status.not_in(ENDED)).order_by(jobs.c.seq)
        with self._begin() as link:
            return [_read(row, JobRow) for row in link.execute(query)]

    # --- events and checkpoints ---
    def add_event(
        self, job_id: str, message: str, *, level: Level = "info", type: EventType = "message",
        data: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._insert(events, new_event(job_id, message, level=level, type=type, data=data))

    def events(self, job_id: str, *, after: str | None = None, limit: int = 20) -> Page[EventRow]:
        """Newest first."""
        query = sa.select(events).where(events.c.job_id == job_id)
        return self._page(events, query, EventRow, after=after, limit=limit, newest_first=True)

    def add_checkpoint(self, row: CheckpointRow) -> None:
        self._insert(checkpoints, row)

    def checkpoints(self, job_id: str, *, after: str | None = None, limit: int = 10) -> Page[CheckpointRow]:
        """Newest first."""
        query = sa.select(checkpoints).where(checkpoints.c.job_id == job_id)
        return self._page(checkpoints, query, CheckpointRow, after=after, limit=limit, newest_first=True)

    def delete_checkpoints(self, job_id: str) -> None:
        self._delete(checkpoints, checkpoints.c.job_id == job_id)

    # --- models ---
    def add_model(self, row: ModelRow) -> None:
        self._insert(models, row)

    def model(self, name: str) -> ModelRow | None:
        return self._one(sa.select(models).where(models.c.name == name), ModelRow)

    def models(self) -> list[ModelRow]:
        """All local models, newest first."""
        with self._begin() as link:
            return [_read(row, ModelRow) for row in link.execute(sa.select(models).order_by(models.c.seq.desc()))]

    def update_model(self, name: str, **values: Any) -> None:
        with self._begin() as link:
            link.execute(sa.update(models).where(models.c.name == name).values(**values))

    def delete_model(self, name: str) -> bool:
        return self._delete(models, models.c.name == name)

    # --- the shared mechanics ---
    def _insert(self, table: sa.Table, row: msgspec.Struct) -> None:
        with self._begin() as link:
            link.execute(_insertion(table, row))

    def _delete(self, table: sa.Table, where: sa.ColumnElement[bool]) -> bool:
        with self._begin() as link:
            return link.execute(table.delete().where(where)).rowcount > 0

    def _one(self, query: sa.Select[Any], type: type[Row]) -> Row | None:
        with self._begin() as link:
            row = link.execute(query).first()
        return None if row is None else _read(row, type)

    def _page(
        self, table: sa.Table, query: sa.Select[Any], type: type[Row], *,
        after: str | None, limit: int, newest_first: bool,
    ) -> Page[Row]:  # fmt: skip
        """One page after the row whose id is `after`. Raises UnknownCursor when there is no such row."""
        with self._begin() as link:
            if after is not None:
                start = link.execute(sa.select(table.c.seq).where(table.c.id == after)).scalar()
                if start is None:
                    raise UnknownCursor(after)
                query = query.where(table.c.seq < start if newest_first else table.c.seq > start)
            query = query.order_by(table.c.seq.desc() if newest_first else table.c.seq).limit(limit + 1)
            rows = [_read(row, type) for row in link.execute(query)]
        return Page(rows[:limit], len(rows) > limit)


class Page(list[Row]):
    """Rows of one page; `has_more` tells whether others follow."""

    def __init__(self, rows: Sequence[Row], has_more: bool) -> None:
        super().__init__(rows)
        self.has_more = has_more


class UnknownCursor(LookupError):
    """`after` names no row."""


def new_event(
    job_id: str, message: str, *, level: Level = "info", type: EventType = "message", data: dict[str, Any] | None = None
) -> EventRow:
    """An event of this moment, not stored yet."""
    return EventRow(new_id("ftevent-"), job_id, int(time.time()), level, message, type, data)


def _create(link: sa.Connection) -> None:
    """Create what is absent; several processes may do so at once."""
    for table in meta.sorted_tables:
        link.execute(sa.schema.CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            link.execute(sa.schema.CreateIndex(index, if_not_exists=True))


def _insertion(table: sa.Table, row: msgspec.Struct) -> sa.Insert:
    values = msgspec.structs.asdict(row)
    values.pop("seq")
    return table.insert().values(**values)


def _durable(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _read(row: sa.Row[Any], type: type[Row]) -> Row:
    return msgspec.convert({str(k): v for k, v in row._mapping.items()}, type)
