"""Fine-tuning jobs, their events and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from nanosmith.store.ledger.rows import Page, equals, new_id
from nanosmith.store.ledger.tables import checkpoints, events, jobs
from nanosmith.store.ledger.work import WorkRows
from nanosmith.store.records import ENDED, CheckpointRow, EventRow, EventType, JobRow, Level, Work

KIND = "fine_tuning.job"


class JobRows(WorkRows):
    def add_job(self, row: JobRow, *, also: Sequence[msgspec.Struct] = ()) -> None:
        """Store a job, the work that it means and its first events, in one transaction."""
        self.add(row, Work(row.id, KIND), *also)

    def job(self, id: str) -> JobRow | None:
        return self._find(JobRow, project=self.project, id=id)

    def jobs(
        self, *, metadata: dict[str, str] | None = None, without_metadata: bool = False,
        after: str | None = None, limit: int = 20,
    ) -> Page[JobRow]:  # fmt: skip
        """Newest first; `metadata` keeps jobs that have all these pairs, `without_metadata` those that have none."""
        wanted = self._has_metadata(jobs, metadata or {})
        if without_metadata:
            wanted.append(jobs.c.metadata.is_(None))
        return self._page(self._of_project(jobs), *wanted, type=JobRow, after=after, limit=limit)

    def count_jobs(self) -> dict[str, int]:
        """By status, of all projects."""
        query = sa.select(jobs.c.status, sa.func.count()).group_by(jobs.c.status)
        rows = self.database.read(lambda link: link.execute(query).all())
        return {status: count for status, count in rows}  # noqa: C416  (dict() would take rows for mappings)

    def update_job(
        self, id: str, *, expect: Mapping[str, Any] | None = None, also: Sequence[msgspec.Struct] = (),
        end: bool = False, **values: Any,
    ) -> JobRow | None:  # fmt: skip
        """Set columns of a job that has not ended and whose columns are as in `expect` (a list or tuple: one of these);
        the rows in `also` are added in the same transaction; with `end`, its Work goes. Returns the new row, or None
        when nothing was changed."""

        def update(link: sa.Connection) -> bool:
            if not link.execute(self._change(id, expect, values)).rowcount:
                return False
            self._insert_all(link, also)
            if end:
                self._end_work(link, id)
            return True

        return self.job(id) if self._write(update) else None

    def end_free_job(self, id: str, *, also: Sequence[msgspec.Struct] = (), **values: Any) -> JobRow | None:
        """End, or pause, a job that no process has; None when one has it, or when it has ended."""
        ended = self.end_free_work(id, self._change(id, None, values), also)
        return self.job(id) if ended else None

    def resume_job(self, id: str, *, also: Sequence[msgspec.Struct] = ()) -> JobRow | None:
        """Put a paused job back into the queue; None when it is not paused."""

        def resume(link: sa.Connection) -> bool:
            if not link.execute(self._change(id, {"status": "paused"}, {"status": "queued"})).rowcount:
                return False
            self._insert_all(link, [Work(id, KIND), *also])
            return True

        return self.job(id) if self._write(resume) else None

    def add_event(
        self, job_id: str, message: str, *, level: Level = "info", type: EventType = "message",
        data: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.add(new_event(job_id, message, level=level, type=type, data=data))

    def events(self, job_id: str, *, after: str | None = None, limit: int = 20) -> Page[EventRow]:
        """Newest first."""
        scope = self._of_project(events).where(events.c.job_id == job_id)
        return self._page(scope, type=EventRow, after=after, limit=limit)

    def add_checkpoint(self, row: CheckpointRow) -> None:
        self.add(row)

    def checkpoints(self, job_id: str, *, after: str | None = None, limit: int = 10) -> Page[CheckpointRow]:
        """Newest first."""
        scope = self._of_project(checkpoints).where(checkpoints.c.job_id == job_id)
        return self._page(scope, type=CheckpointRow, after=after, limit=limit)

    def delete_checkpoints(self, job_id: str) -> None:
        self._delete(checkpoints, checkpoints.c.job_id == job_id)

    def _change(self, id: str, expect: Mapping[str, Any] | None, values: Mapping[str, Any]) -> sa.Update:
        wanted = [equals(jobs.c[column], value) for column, value in (expect or {}).items()]
        mine = (jobs.c.project == self.project, jobs.c.id == id, jobs.c.status.not_in(ENDED))
        return sa.update(jobs).where(*mine, *wanted).values(**values)


def new_event(
    job_id: str, message: str, *, level: Level = "info", type: EventType = "message", data: dict[str, Any] | None = None
) -> EventRow:
    """An event of this moment, not stored yet."""
    return EventRow(new_id("ftevent-"), job_id, int(time.time()), level, message, type, data)
