"""What workers have to do, and which of them has it: claim, lease, heartbeat and fencing token.

A worker claims a Work for LEASE_S by the database's clock and renews that while it works. One that was paused, or cut
off, past its lease finds it taken or run out, and can write nothing more (Kleppmann, "How to do distributed locking",
2016). Functions here see all projects, as a worker serves them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from nanosmith.store.ledger.rows import LeaseLost, Rows
from nanosmith.store.ledger.tables import work
from nanosmith.store.records import Lease, Stop, Work

LEASE_S = 15.0
CLAIMS = 2**20
"""Tokens of one Work: its own range, so that those of a job that was paused and resumed, as a new Work of the same id,
are above all that it had before."""


class WorkRows(Rows):
    def work(self, id: str) -> Work | None:
        return self._find(Work, id=id)

    def open_work(self) -> list[Work]:
        """All of it, of all projects, oldest first."""
        return self._all(sa.select(work).order_by(work.c.seq), Work)

    def free_work(self) -> list[Work]:
        """What no process has: never claimed, released, or its lease has run out. Oldest first, of all projects."""
        return self._all(sa.select(work).where(self._is_free()).order_by(work.c.seq), Work)

    def claim(self, id: str, owner: str, *, instead_of: str | None = None, lease_s: float = LEASE_S) -> Lease | None:
        """Take free work: exactly one of several callers gets it, the others get None. `instead_of` names an owner
        that is known to be dead, whose lease need not run out first."""
        free = self._is_free()
        if instead_of is not None:
            free = sa.or_(free, work.c.owner == instead_of)
        token = sa.case((work.c.token == 0, work.c.seq * CLAIMS), else_=work.c.token) + 1
        change = (
            sa.update(work)
            .where(work.c.id == id, free)
            .values(owner=owner, token=token, expires_at=self.database.now + lease_s)
            .returning(work.c.token, work.c.project)
        )
        taken = self._write(lambda link: link.execute(change).first())
        return None if taken is None else Lease(id, taken.token, taken.project)

    def renew(self, lease: Lease, *, lease_s: float = LEASE_S) -> Stop | None:
        """The heartbeat: the lease runs from now; returns what was asked of the work meanwhile. Raises LeaseLost."""
        change = (
            sa.update(work)
            .where(work.c.id == lease.id, work.c.token == lease.token, work.c.expires_at > self.database.now)
            .values(expires_at=self.database.now + lease_s)
            .returning(work.c.stop)
        )
        row = self.database.write(lambda link: link.execute(change).first())
        if row is None:
            raise LeaseLost("the work was taken over, or its lease has run out", where=lease.id)
        stop: Stop | None = row.stop
        return stop

    def release(self, lease: Lease) -> None:
        """Give work back, for the next to claim. Nothing happens when it is not ours any more."""
        ours = (work.c.id == lease.id, work.c.token == lease.token)
        change = sa.update(work).where(*ours).values(owner=None, expires_at=None)
        self.database.write(lambda link: link.execute(change))

    def ask_to_stop(self, id: str, stop: Stop) -> bool:
        """Ask whoever has this work to stop; a cancel is not taken back by a later pause. False when there is none."""
        mine = (work.c.project == self.project, work.c.id == id)
        open = mine if stop == "cancel" else (*mine, work.c.stop.is_distinct_from("cancel"))
        change = sa.update(work).where(*open).values(stop=stop)
        return self._write(lambda link: link.execute(change).rowcount) > 0

    def _is_free(self) -> sa.ColumnElement[bool]:
        return sa.or_(work.c.owner.is_(None), work.c.expires_at <= self.database.now)

    def _end_work(self, link: sa.Connection, id: str) -> None:
        link.execute(work.delete().where(work.c.project == self.project, work.c.id == id))

    def end_free_work(self, id: str, change: sa.Update, also: Sequence[msgspec.Struct] = ()) -> bool:
        """End work that nobody has: remove it, apply `change` and add rows, in one transaction. False, and nothing
        done, when somebody has it or when `change` changes nothing."""

        free = sa.select(work.c.seq).where(work.c.project == self.project, work.c.id == id, self._is_free())

        def end(link: sa.Connection) -> bool:
            if link.execute(free.with_for_update()).first() is None or not link.execute(change).rowcount:
                return False
            self._end_work(link, id)
            self._insert_all(link, also)
            return True

        return self._write(end)
