"""A worker that is stopped past its lease, at each point at which it would make something durable."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import signal
import time
from contextlib import closing
from pathlib import Path

import msgspec
import sqlalchemy as sa

from nanosmith.jobs import run
from nanosmith.jobs.submit import submit
from nanosmith.store.atomic import PART
from nanosmith.store.blobs import open_blobs
from nanosmith.store.bundles import sha256_of
from nanosmith.store.home import Home
from nanosmith.store.ledger import LEASE_S, Ledger, open_ledger
from nanosmith.store.ledger.tables import meta
from nanosmith.store.records import FileRow, Lease
from nanosmith.testing.faults.apart import apart
from nanosmith.testing.faults.folder import check_folder, files_in, finals_of, new_home
from nanosmith.testing.faults.forked import break_by, fork, wait
from nanosmith.testing.faults.found import Findings, Outcome, Tick, unheard
from nanosmith.testing.faults.steps import before_step, stop
from nanosmith.testing.slow import slow_tune
from nanosmith.testing.tiny import chat_lines, topic_rows

LEAST = 30
"""Points that there are at least: fewer, and the fault does not see them."""
IN_FULL = 20
"""The round in which a lease runs out by itself: by then there is one."""
WAITS_S = 2.0
LOOK_S = 0.01


def lease(folder: Path, *, every: int = 1, in_full: bool = True, broken: str = "", tick: Tick = unheard) -> Outcome:
    """At each `every`th point a worker gets SIGSTOP until its lease has run out, another one does its job, and the
    first one goes on: after the other has ended, and while it works. It must write nothing: no row, and nothing of what
    the other one made. Where `in_full` one lease runs out by itself; the others are made to.

    Raises FaultFound, NotPossible.
    """
    return apart(f"{__name__}:_lease", folder, tick, every=every, in_full=in_full, broken=broken)


def _lease(folder: Path, tick: Tick, every: int, in_full: bool, broken: str) -> Outcome:
    job = _template(new_home(folder / "template"))
    rounds = 0
    for number in itertools.count(1, every):
        for meanwhile in (False, True):
            root, found = folder / f"{number}-{meanwhile}", Findings()
            shutil.copytree(folder / "template", root)
            pair = _Pair(Home(root), job, broken, found)
            if not pair.stop_first(number, in_full=in_full and rounds == IN_FULL):
                return _outcome(rounds, number)
            pair.wake_meanwhile(number) if meanwhile else pair.wake_afterwards()
            pair.check()
            found.raise_if_any()
            shutil.rmtree(root)
            rounds += 1
            tick(rounds, 0)
    raise AssertionError


def _template(home: Home) -> str:
    """A data folder with a job that waits; its id."""
    with closing(open_ledger(home)) as ledger:
        blob = open_blobs(home).put([chat_lines(topic_rows())])
        ledger.add_file(FileRow("file-1", 1, blob.bytes, "train.jsonl", "fine-tune", blob.sha256))
        method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 4}}}
        return submit(ledger, home, {"model": "gpt-4.1-nano", "training_file": "file-1", "method": method}).id


class _Pair:
    """Two workers of one job; the first is stopped."""

    def __init__(self, home: Home, job: str, broken: str, found: Findings) -> None:
        self._home = home
        self._job = job
        self._broken = broken
        self._found = found
        self._first = 0

    def stop_first(self, number: int, *, in_full: bool) -> bool:
        """Stop it at its point of this number, and let its lease run out. False when it has ended before."""
        self._first = self._start(number)
        if not os.WIFSTOPPED(os.waitpid(self._first, os.WUNTRACED)[1]):
            return False
        if in_full:
            time.sleep(LEASE_S + 0.5)
            return True
        with closing(open_ledger(self._home)) as ledger:
            work = ledger.work(self._job)
            if work is not None and work.owner is not None:
                ledger.renew(Lease(work.id, work.token, work.project), lease_s=-1)
        return True

    def wake_afterwards(self) -> None:
        """The other one has come to its end; then nothing changes any more."""
        second = self._start()
        if _is_busy(second):  # the first one holds a lock, for which the other waits
            self._wake(self._first)
            wait(second)
            return
        rows, files = _rows(self._home), _files(self._home)
        self._wake(self._first)
        now = _rows(self._home)
        self._found.wrong += [f"rows of {name} were written" for name in rows if rows[name] != now[name]]
        self._found.lost += [f"the file {name}" for name in files.items() - _files(self._home).items()]

    def wake_meanwhile(self, number: int) -> None:
        """The other one is in the middle; it must come to its end as if it were alone."""
        second = self._start(1 + number * 7 % LEAST)
        is_busy = _is_busy(second)
        self._wake(self._first)
        if is_busy:
            self._wake(second)

    def check(self) -> None:
        """One success, and one final model, whole."""
        with closing(open_ledger(self._home)) as ledger:
            job = ledger.job(self._job)
            assert job is not None
            finals = finals_of(self._job, ledger.models())
            if job.status != "succeeded":
                self._found.lost.append(f"the job, which has {job.status}: {job.error}")
            elif finals != [job.fine_tuned_model]:
                self._found.duplicates.append(f"{len(finals)} final models of {self._job}")
        check_folder(self._home, self._found)

    def _start(self, stop_at: int = 0) -> int:
        def work() -> None:
            break_by(self._broken)
            before_step(stop_at, stop)
            run.main(self._job, self._home, tune=functools.partial(slow_tune, step_s=0))

        return fork(work)

    def _wake(self, process: int) -> None:
        """Let it go on, up to its end."""
        os.kill(process, signal.SIGCONT)
        while os.WIFSTOPPED(os.waitpid(process, os.WUNTRACED)[1]):
            os.kill(process, signal.SIGCONT)


def _is_busy(process: int) -> bool:
    """False once it has ended; True when it is stopped, or does not end within WAITS_S."""
    end = time.monotonic() + WAITS_S
    while time.monotonic() < end:
        told, status = os.waitpid(process, os.WUNTRACED | os.WNOHANG)
        if told:
            return os.WIFSTOPPED(status)
        time.sleep(LOOK_S)
    return True


def _rows(home: Home) -> dict[str, list[bytes]]:
    """Everything in the ledger, by table."""
    with closing(open_ledger(home)) as ledger:
        return {table.name: _all(ledger, table) for table in meta.sorted_tables if table.name != "writers"}


def _all(ledger: Ledger, table: sa.Table) -> list[bytes]:
    return ledger.database.read(
        lambda link: sorted(msgspec.json.encode(list(row)) for row in link.execute(sa.select(table)))
    )


def _files(home: Home) -> dict[str, str]:
    """Uploads and bundles by their path, but for what is being written, with their SHA-256."""
    paths = {path: path.relative_to(home.root).as_posix() for path in (*files_in(home.blobs), *files_in(home.bundles))}
    return {name: sha256_of(path) for path, name in paths.items() if PART not in name}


def _outcome(rounds: int, points: int) -> Outcome:
    if points < LEAST:
        raise RuntimeError(f"only {points} points were seen")
    return Outcome(rounds, rounds)
