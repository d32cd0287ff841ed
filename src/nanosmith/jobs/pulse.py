"""A thread that renews the lease of a work beside the work itself, and learns whether it should stop."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import sqlalchemy as sa

from nanosmith.core.errors import NanosmithError
from nanosmith.store.ledger import LEASE_S, LeaseLost, Ledger
from nanosmith.store.records import Lease, Stop

LOOK_S = 0.4
RENEW_S = LEASE_S / 5


class Pulse:
    """Looks at the work every LOOK_S, and renews its lease every RENEW_S.

    With `parent`, the process gets SIGTERM as soon as that process is no longer its parent: no work goes on for a
    worker that is gone.
    """

    def __init__(self, ledger: Ledger, lease: Lease, *, parent: int | None = None) -> None:
        self.stop: Stop | None = None
        self.lost = False
        self._ledger = ledger
        self._lease = lease
        self._parent = parent
        self._end = threading.Event()
        self._renewed_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def should_stop(self) -> bool:
        """Whether the work is to be cancelled or paused, or is not this process's any more."""
        return self.lost or self.stop is not None

    def __enter__(self) -> Pulse:
        self._look()  # what was asked for before the claim
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(LOOK_S):
            if self._parent not in (None, os.getppid()):
                os.kill(os.getpid(), signal.SIGTERM)
                return
            try:
                with contextlib.suppress(sa.exc.SQLAlchemyError):
                    self._look()
            except LeaseLost:
                self.lost = True
                return
            except NanosmithError:  # a full disk, or a database that is away, must not stop the pulse
                continue

    def _look(self) -> None:
        if time.monotonic() - self._renewed_s >= RENEW_S:
            self.stop = self._ledger.renew(self._lease)
            self._renewed_s = time.monotonic()
            return
        work = self._ledger.work(self._lease.id)
        if work is None or work.token != self._lease.token:
            raise LeaseLost("the work was taken over", where=self._lease.id)
        self.stop = work.stop
