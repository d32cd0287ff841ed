"""A thread that shows that a job's process is alive, and learns whether it should stop."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import sqlalchemy as sa

from nanosmith.core.errors import NanosmithError
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ENDED

LOOK_S = 0.4
BEAT_S = 1.0
STALE_S = 15.0
"""A job whose last heartbeat is older has lost its process."""


class Pulse:
    """Writes `heartbeat_at` every BEAT_S and reads the row every LOOK_S, beside the work.

    With `parent`, the process gets SIGTERM as soon as that process is no longer its parent: no work goes on for a
    server that is gone.
    """

    def __init__(self, ledger: Ledger, job_id: str, *, parent: int | None = None) -> None:
        self._ledger = ledger
        self._job_id = job_id
        self._parent = parent
        self._pid = os.getpid()
        self._stop = threading.Event()
        self._end = threading.Event()
        self._beaten_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def should_stop(self) -> bool:
        """Whether the job was cancelled, or is not this process's any more."""
        return self._stop.is_set()

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(LOOK_S):
            if self._parent not in (None, os.getppid()):
                os.kill(self._pid, signal.SIGTERM)
                return
            with contextlib.suppress(NanosmithError, sa.exc.SQLAlchemyError):  # a full disk must not stop the pulse
                self._look()

    def _look(self) -> None:
        job = self._ledger.job(self._job_id)
        if job is None or job.cancel_requested or job.pid != self._pid or job.status in ENDED:
            self._stop.set()
        if time.monotonic() - self._beaten_s >= BEAT_S - LOOK_S / 2:
            self._ledger.update_job(self._job_id, expect={"pid": self._pid}, heartbeat_at=int(time.time()))
            self._beaten_s = time.monotonic()
