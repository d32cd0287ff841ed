"""Starts the processes of jobs, one tuning at a time, and looks after them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter

from nanosmith.core.errors import NanosmithError
from nanosmith.jobs import ending
from nanosmith.jobs.leftovers import clear_folder, sweep
from nanosmith.jobs.worker import Worker, is_alive
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ENDED, JobRow

MAX_RESTARTS = 2
ATTENTIVE_S = 0.05
TROUBLE_S = 1.0
STOP_S = 5.0
log = logging.getLogger("nanosmith.jobs")


class Supervisor:
    """A thread over the ledger, which is the truth: it may be killed at any time, and another one goes on.

    One job is tuned at a time. While it is, the files of newer jobs are checked in a second process, so that a bad
    file is told at once. `tune` names the flow as "module:attribute" (for tests).
    """

    def __init__(self, home: Home, *, poll_s: float = 0.25, tune: str | None = None) -> None:
        self._home = home
        self._poll_s = poll_s
        self._tune = tune
        self._workers: list[Worker] = []
        self._deaths: Counter[str] = Counter()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look at the ledger now instead of at the next poll."""
        self._wake.set()

    def stop(self) -> None:
        """End the running job's process; the job waits for the next supervisor. Returns when that is done."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2 * STOP_S)

    def _run(self) -> None:
        with contextlib.closing(Ledger(self._home.ledger)) as ledger:
            with contextlib.suppress(OSError, NanosmithError):  # tidying must not keep jobs from running
                sweep(ledger, self._home)
            while not self._stopping.is_set():
                try:
                    wait_s = self._turn(ledger)
                except Exception:
                    log.exception("the supervisor of jobs met an error and goes on")
                    wait_s = TROUBLE_S
                self._wake.wait(wait_s)
                self._wake.clear()
            self._end_all(ledger)

    def _turn(self, ledger: Ledger) -> float:
        """Everything there is to do now; returns how many seconds to wait until the next turn."""
        self._reap(ledger)
        jobs = ledger.open_jobs()
        self._recover(ledger, jobs)
        for job in jobs:
            if job.pid is None and job.cancel_requested:
                ending.end_waiting(ledger, job.id)
        self._start_next(ledger.open_jobs())
        cancelled = {job.id for job in jobs if job.cancel_requested}
        hurried = [worker for worker in self._workers if worker.job_id in cancelled]
        for worker in hurried:
            worker.hurry()
        return ATTENTIVE_S if hurried else self._poll_s

    def _reap(self, ledger: Ledger) -> None:
        for worker in [worker for worker in self._workers if worker.ended]:
            self._workers.remove(worker)
            self._bury(ledger, worker)

    def _bury(self, ledger: Ledger, worker: Worker) -> None:
        """A process that ended by itself: has its job ended too? If not, it may start again, twice."""
        job = ledger.job(worker.job_id)
        if job is None or job.status in ENDED:
            self._deaths.pop(worker.job_id, None)
        elif worker.went_wrong or job.pid == worker.pid:
            self._deaths[job.id] += 1
            if self._deaths[job.id] > MAX_RESTARTS and job.pid in (None, worker.pid):
                message = f"the job's process ended {self._deaths[job.id]} times without a result: {worker.why}"
                ending.fail(ledger, self._home, job, code="worker_died", message=message)
        self._settle(ledger, worker)

    def _settle(self, ledger: Ledger, worker: Worker) -> None:
        """Take the job back from a process that has ended."""
        job = ledger.job(worker.job_id)
        if job is not None and job.pid == worker.pid:
            ending.release(ledger, self._home, job)
        if job is None or job.pid in (None, worker.pid):
            clear_folder(self._home, worker.job_id)

    def _end_all(self, ledger: Ledger) -> None:
        for worker in self._workers:
            worker.end(STOP_S)
        for worker in self._workers:
            with contextlib.suppress(NanosmithError):  # whoever comes next will take the job back
                self._settle(ledger, worker)

    def _recover(self, ledger: Ledger, jobs: list[JobRow]) -> None:
        """Take back jobs whose processes died with an earlier server."""
        own = {worker.pid for worker in self._workers}
        for job in jobs:
            if job.pid is not None and job.pid not in own and not is_alive(job):
                ending.release(ledger, self._home, job)
                clear_folder(self._home, job.id)

    def _start_next(self, jobs: list[JobRow]) -> None:
        """The oldest waiting job is tuned; if one is being tuned, the files of the oldest unchecked one are checked."""
        waiting = [job for job in jobs if job.pid is None and job.id not in {worker.job_id for worker in self._workers}]
        if not any(not worker.only_validate for worker in self._workers):
            self._start(waiting[:1], only_validate=False)
        elif not any(worker.only_validate for worker in self._workers):
            self._start([job for job in waiting if job.status == "validating_files"][:1], only_validate=True)

    def _start(self, jobs: list[JobRow], *, only_validate: bool) -> None:
        for job in jobs:
            worker = Worker(self._home, job.id, only_validate=only_validate, tune=self._tune)
            self._workers.append(worker)
