"""Starts the processes of work, one per lane at a time, and looks after them; a courier beside it sends webhooks."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter

from nanosmith.core.errors import NanosmithError
from nanosmith.jobs.attempt import release
from nanosmith.jobs.kinds import KINDS
from nanosmith.jobs.leftovers import clear_folder, sweep
from nanosmith.jobs.owner import is_dead, is_owned_by, owner_name
from nanosmith.jobs.webhooks.courier import Courier
from nanosmith.jobs.worker import Worker
from nanosmith.store.home import Home
from nanosmith.store.ledger import LeaseLost, Ledger, open_ledger
from nanosmith.store.records import Work

MAX_RESTARTS = 2
ATTENTIVE_S = 0.05
TROUBLE_S = 1.0
STOP_S = 5.0
CHECKING = "checking"
"""The lane in which the files of newer fine-tuning jobs are checked while one is tuned."""
log = logging.getLogger("nanosmith.jobs")


class Supervisor:
    """A thread over the ledger, which is the truth: it may be killed at any time, and another one goes on. Several may
    run on one ledger, also on several machines: what each process does is fenced by its lease.

    `tune` names the flow of fine-tuning jobs as "module:attribute" (for tests).
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
        self._courier = Courier(home)

    def start(self) -> None:
        self._thread.start()
        self._courier.start()

    def wake(self) -> None:
        """Look at the ledger now instead of at the next poll."""
        self._wake.set()

    def stop(self) -> None:
        """End the running processes; their work waits for the next supervisor. Returns when that is done."""
        self._stopping.set()
        self._wake.set()
        self._courier.stop()
        if self._thread.is_alive():
            self._thread.join(2 * STOP_S)

    def _run(self) -> None:
        with contextlib.closing(open_ledger(self._home)) as ledger:
            with contextlib.suppress(OSError, NanosmithError):  # tidying must not keep work from being done
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
        works = ledger.open_work()
        free = {work.id for work in ledger.free_work()}
        waiting = [work for work in works if self._is_waiting(work, free)]
        for work in waiting:
            if work.owner is not None or work.stop is not None:
                self._take_back(ledger, work)
        self._start_next(ledger, [work for work in waiting if work.stop is None])
        stopping = {work.id for work in works if work.stop is not None}
        hurried = [worker for worker in self._workers if worker.id in stopping]
        for worker in hurried:
            worker.hurry()
        return ATTENTIVE_S if hurried else self._poll_s

    def _is_waiting(self, work: Work, free: set[str]) -> bool:
        """Whether no process has it: nobody claimed it, its lease has run out, or its process died."""
        if any(worker.id == work.id for worker in self._workers):
            return False
        return work.id in free or (work.owner is not None and is_dead(work.owner))

    def _reap(self, ledger: Ledger) -> None:
        for worker in [worker for worker in self._workers if worker.ended]:
            self._workers.remove(worker)
            self._bury(ledger, worker)

    def _bury(self, ledger: Ledger, worker: Worker) -> None:
        """A process that ended by itself: has its work ended too? If not, it may start again, twice."""
        work = ledger.work(worker.id)
        if work is None:
            self._deaths.pop(worker.id, None)
        elif worker.went_wrong or is_owned_by(work, worker.pid):
            self._deaths[work.id] += 1
            if self._deaths[work.id] > MAX_RESTARTS and (work.owner is None or is_owned_by(work, worker.pid)):
                self._fail(ledger, work, f"ended {self._deaths[work.id]} times without a result: {worker.why}")
        self._settle(ledger, worker)

    def _fail(self, ledger: Ledger, work: Work, how: str) -> None:
        lease = ledger.claim(work.id, owner_name(), instead_of=work.owner)
        if lease is not None:
            endings, home = KINDS[work.kind].load_endings(), self._home.of(work.project)
            with contextlib.suppress(LeaseLost):
                message = f"the job's process {how}"
                endings.fail(ledger.under(lease), home, work.id, code="worker_died", message=message)
            ledger.release(lease)

    def _settle(self, ledger: Ledger, worker: Worker) -> None:
        """Take work back from a process that has ended."""
        work = ledger.work(worker.id)
        if is_owned_by(work, worker.pid):
            assert work is not None
            self._take_back(ledger, work)
        if work is None or work.owner is None or is_owned_by(work, worker.pid):
            clear_folder(worker.home, worker.id, up_to=work.token if work else None)

    def _take_back(self, ledger: Ledger, work: Work) -> None:
        """End work that nobody does any more where it was to stop; else put it back into the queue. When that cannot be
        done, as on a full disk, it is tried again once this lease has run out; other work need not wait for that."""
        lease = ledger.claim(work.id, owner_name(), instead_of=work.owner)
        if lease is None or work.kind not in KINDS:
            return
        home = self._home.of(work.project)
        try:
            release(ledger.under(lease), home, lease, KINDS[work.kind].load_endings())
        except NanosmithError:
            log.exception("%s could not be taken back", work.id)
        clear_folder(home, work.id, up_to=lease.token)

    def _end_all(self, ledger: Ledger) -> None:
        for worker in self._workers:
            worker.end(STOP_S)
        for worker in self._workers:
            with contextlib.suppress(NanosmithError):  # whoever comes next will take the work back
                self._settle(ledger, worker)

    def _start_next(self, ledger: Ledger, waiting: list[Work]) -> None:
        """In each free lane, the oldest work. While a job is tuned, the oldest one whose files are unchecked has them
        checked, so that a bad file is told at once."""
        for work in waiting:
            kind = KINDS.get(work.kind)
            if kind is None:
                continue
            if self._is_free(kind.lane):
                self._start(work, kind.lane, ["--tune", self._tune] if self._tune and kind.lane == "tuning" else [])
            elif kind.lane == "tuning" and self._is_free(CHECKING) and _is_unchecked(ledger, work):
                self._start(work, CHECKING, ["--only-validate"])

    def _is_free(self, lane: str) -> bool:
        return all(worker.lane != lane for worker in self._workers)

    def _start(self, work: Work, lane: str, options: list[str]) -> None:
        self._workers.append(Worker(self._home, work, lane, options, react_s=KINDS[work.kind].react_s))


def _is_unchecked(ledger: Ledger, work: Work) -> bool:
    job = ledger.of(work.project).job(work.id)
    return job is not None and job.status == "validating_files"
