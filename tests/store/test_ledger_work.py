"""Leases: who has a work, and what those who have lost it cannot do; in each database."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.store import ledger_rows
from tests.store.ledger_rows import job

from nanosmith.store.ledger import LeaseLost, Ledger
from nanosmith.store.records import Document, Lease, Stop, Work

LONG_S = 1000.0
OVER_S = -1.0  # a lease that has run out already
OWNERS = st.sampled_from(["a", "b"])
LASTING = st.sampled_from([LONG_S, LONG_S, OVER_S])
CLAIMER = """
import sys
from nanosmith.store.ledger import Ledger
from tests.store.ledger_rows import where_of
ledger = Ledger(where_of(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for job in sys.argv[3:]:
    if ledger.claim(job, sys.argv[2], instead_of="gone"):
        print(job, flush=True)
"""
PAUSED_WRITER = """
import os, signal, sys
from nanosmith.store.ledger import LeaseLost, Ledger, postgres
from nanosmith.store.ledger.tables import files
from nanosmith.store.records import Lease
from tests.store.ledger_rows import file
postgres.IDLE_S = 1
ledger = Ledger(sys.argv[1]).under(Lease("ftjob-1", int(sys.argv[2]), "default"))
def write(link):
    ledger._insert_all(link, [file("late")])
    os.kill(os.getpid(), signal.SIGSTOP)
try:
    ledger._write(write)
except LeaseLost:
    print("lost")
"""


def claimed(ledger: Ledger, id: str, owner: str = "a", **options: Any) -> Lease:
    lease = ledger.claim(id, owner, **options)
    assert lease is not None
    return lease


def has(ledger: Ledger, lease: Lease) -> bool:
    """Whether this lease lets its holder write; by writing."""
    try:
        ledger.under(lease).add_event(lease.id, "written")
    except LeaseLost:
        return False
    return True


def test_a_job_is_claimed_once(ledger: Ledger) -> None:
    """The first claim of free work wins, until it is released; whoever has it is named."""
    ledger.of("p").add_job(job())
    assert [work.id for work in ledger.free_work()] == ["ftjob-1"]
    first = claimed(ledger, "ftjob-1", "a")
    assert first.project == "p"
    assert ledger.claim("ftjob-1", "b") is None
    assert ledger.free_work() == []
    assert [(work.owner, work.token, work.kind) for work in ledger.open_work()] == [
        ("a", first.token, "fine_tuning.job")
    ]
    ledger.release(first)
    assert not has(ledger, first)
    assert claimed(ledger, "ftjob-1", "b").token > first.token


def test_a_lease_runs_out_and_is_renewed(ledger: Ledger) -> None:
    """By the database's clock: what ran out is free, what was renewed is not."""
    for id in ("old", "kept"):
        ledger.add_job(job(id))
    old, kept = claimed(ledger, "old", lease_s=0.0), claimed(ledger, "kept", lease_s=LONG_S)
    assert ledger.renew(kept) is None
    assert [work.id for work in ledger.free_work()] == ["old"]
    with pytest.raises(LeaseLost, match="old: the work was taken over, or its lease has run out"):
        ledger.renew(old)
    assert ledger.claim("kept", "b") is None
    assert claimed(ledger, "old", "b").token > old.token


def test_instead_of_the_dead(ledger: Ledger) -> None:
    """The lease of an owner that is known to be dead need not run out; that of another one must."""
    ledger.add_job(job())
    first = claimed(ledger, "ftjob-1", "a")
    assert ledger.claim("ftjob-1", "b", instead_of="c") is None
    second = claimed(ledger, "ftjob-1", "b", instead_of="a")
    assert (has(ledger, first), has(ledger, second)) == (False, True)


def test_asking_to_stop(ledger: Ledger) -> None:
    """The heartbeat brings what was asked; a cancel stays when a pause is asked later; other projects cannot ask."""
    ledger.add_job(job())
    lease = claimed(ledger, "ftjob-1")
    assert not ledger.of("another").ask_to_stop("ftjob-1", "cancel")
    assert ledger.renew(lease) is None
    assert ledger.ask_to_stop("ftjob-1", "pause")
    assert ledger.ask_to_stop("ftjob-1", "pause")
    assert ledger.renew(lease) == "pause"
    assert ledger.ask_to_stop("ftjob-1", "cancel")
    assert not ledger.ask_to_stop("ftjob-1", "pause")
    assert ledger.renew(lease) == "cancel"
    assert not ledger.ask_to_stop("unknown", "cancel")


def test_ending_free_work(ledger: Ledger) -> None:
    """A job that nobody has ends at once, whole; one that somebody has, or that has ended, stays as it is."""
    ledger.add_job(job())
    lease = claimed(ledger, "ftjob-1")
    assert ledger.end_free_job("ftjob-1", also=[ledger_rows.file("x")], status="cancelled") is None
    ledger.release(lease)
    assert ledger.of("another").end_free_job("ftjob-1", status="cancelled") is None
    ended = ledger.end_free_job("ftjob-1", also=[ledger_rows.file("y")], status="cancelled")
    assert ended is not None
    assert (ended.status, ledger.open_work(), [row.id for row in ledger.files()]) == ("cancelled", [], ["y"])
    ledger.add(Work("ftjob-1", "fine_tuning.job"))
    assert ledger.end_free_job("ftjob-1", status="failed") is None
    assert [work.id for work in ledger.open_work()] == ["ftjob-1"]


def test_pause_and_resume(ledger: Ledger) -> None:
    """A resumed job is work again; who had it before it was paused can write nothing, whoever has it now."""
    ledger.add_job(job())
    zombie = claimed(ledger, "ftjob-1", "a", lease_s=OVER_S)
    assert ledger.end_free_job("ftjob-1", status="paused") is not None
    assert ledger.resume_job("ftjob-1") is not None
    assert ledger.resume_job("ftjob-1") is None
    lease = claimed(ledger, "ftjob-1", "b")
    assert lease.token > zombie.token
    assert (has(ledger, zombie), has(ledger, lease)) == (False, True)


def test_every_write_is_fenced(ledger: Ledger) -> None:
    """After another process took the work over, each writing method under the old lease raises LeaseLost, and nothing
    changes; `release` does nothing."""
    owner = ledger.of("a")
    ledger_rows.fill(owner, "a")
    old = claimed(owner, "job-a", "old", lease_s=OVER_S)
    claimed(owner, "job-a", "new", lease_s=LONG_S)
    fenced, before = ledger.under(old), ledger_rows.contents(ledger)
    for name, write in {**ledger_rows.WRITES, **ledger_rows.WRITES_OF_ALL_PROJECTS}.items():
        with pytest.raises(LeaseLost):
            write(fenced, "a")
        assert ledger_rows.contents(ledger) == before, name
    for write in ledger_rows.WITHOUT_EFFECT_WHEN_LOST.values():
        write(fenced, "a")
        assert ledger_rows.contents(ledger) == before


def test_a_held_lease_lets_write(ledger: Ledger) -> None:
    """Under a lease that holds, the same methods raise nothing."""
    for name, write in ledger_rows.WRITES.items():
        ledger_rows.fill(ledger.of(name), name)
        write(ledger.under(claimed(ledger, f"job-{name}", lease_s=LONG_S)), name)


def test_under_a_lease_of_another_project(ledger: Ledger) -> None:
    """What is written under a lease belongs to the project of the work."""
    ledger.of("p").add_job(job())
    ledger.under(claimed(ledger, "ftjob-1")).add_file(ledger_rows.file("x"))
    assert (ledger.file("x"), ledger.of("p").file("x") is None) == (None, False)


def test_the_end_of_work_ends_its_lease(ledger: Ledger) -> None:
    """The last write of a worker is the one that ends its job."""
    ledger.add_job(job())
    lease = claimed(ledger, "ftjob-1")
    assert ledger.under(lease).update_job("ftjob-1", status="succeeded", end=True) is not None
    assert ledger.open_work() == []
    assert not has(ledger, lease)


def test_exactly_one_process_claims(ledger: Ledger, database: Path | str) -> None:
    """Three processes try to claim the same ten jobs at once, also such of a dead owner: each gets one owner."""
    ids = [f"ftjob-{i}" for i in range(10)]
    for id in ids:
        ledger.add_job(job(id))
    for id in ids[::2]:
        claimed(ledger, id, "gone")
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", CLAIMER, str(database)]
    processes = {name: subprocess.Popen([*command, name, *ids], **pipes) for name in "abc"}
    for process in processes.values():
        assert process.stdout.readline() == "ready\n"
    for process in processes.values():
        process.stdin.write("\n")
        process.stdin.flush()
    taken = {name: process.communicate()[0].split() for name, process in processes.items()}
    assert sorted(itertools.chain(*taken.values())) == ids
    assert {work.id: work.owner for work in ledger.open_work()} == {id: name for name in taken for id in taken[name]}


def test_a_write_and_a_claim_at_once(ledger: Ledger) -> None:
    """A claim waits for the transaction that writes under the lease, so it never comes in between."""
    ledger.add_job(job())
    lease = claimed(ledger, "ftjob-1", lease_s=LONG_S)
    inside, order = threading.Event(), list[str]()

    def slow(link: Any) -> None:
        inside.set()
        claimer.join(0.3)
        ledger._insert_all(link, [ledger_rows.file("x")])
        order.append("written")

    def claim() -> None:
        inside.wait()
        claimed(ledger, "ftjob-1", "b", instead_of="a")
        order.append("claimed")

    claimer = threading.Thread(target=claim)
    claimer.start()
    ledger.under(lease)._write(slow)
    claimer.join()
    assert order == ["written", "claimed"]


def test_stopped_in_the_middle_of_a_write(postgres: Any) -> None:
    """A process that is stopped within a transaction does not keep others from its work, and writes nothing later."""
    url = postgres.new_database()
    ledger = Ledger(url)
    ledger.add_job(job())
    lease = claimed(ledger, "ftjob-1", lease_s=LONG_S)
    writer = subprocess.Popen(
        [sys.executable, "-c", PAUSED_WRITER, url, str(lease.token)], stdout=subprocess.PIPE, text=True
    )
    os.waitpid(writer.pid, os.WUNTRACED)
    claimed(ledger, "ftjob-1", "b", instead_of="a")
    writer.send_signal(signal.SIGCONT)
    assert writer.communicate()[0] == "lost\n"
    assert ledger.files() == []
    ledger.close()


class Model(msgspec.Struct):
    """A work as it should be."""

    owner: str | None = None
    token: int = 0
    is_valid: bool = False
    stop: Stop | None = None


class Leases(RuleBasedStateMachine):
    """Two owners, one work, against a model of it; `held` are all leases that were ever given."""

    ledger: ClassVar[Ledger]
    names: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self.id = f"work-{next(self.names)}"
        self.model: Model | None = None
        self.last_token = 0
        self.held: list[Lease] = []

    @precondition(lambda self: self.model is None)
    @rule()
    def begin(self) -> None:
        self.ledger.delete_document("thing", self.id)
        self.ledger.add(Document("thing", self.id, 1, {}, status="open"), Work(self.id, "thing"))
        self.model = Model()

    @rule(owner=OWNERS, instead_of=st.none() | OWNERS, lease_s=LASTING)
    def claim(self, owner: str, instead_of: str | None, lease_s: float) -> None:
        model = self.model
        is_free = model is not None and (not model.is_valid or model.owner == instead_of)
        lease = self.ledger.claim(self.id, owner, instead_of=instead_of, lease_s=lease_s)
        assert (lease is not None) == is_free
        if lease is not None and model is not None:
            assert lease.token > self.last_token
            self.last_token = model.token = lease.token
            model.owner, model.is_valid = owner, lease_s > 0
            self.held.append(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), lease_s=LASTING)
    def renew(self, data: st.DataObject, lease_s: float) -> None:
        lease = data.draw(st.sampled_from(self.held))
        if self._is_valid(lease):
            assert self.model is not None
            assert self.ledger.renew(lease, lease_s=lease_s) == self.model.stop
            self.model.is_valid = lease_s > 0
        else:
            with pytest.raises(LeaseLost):
                self.ledger.renew(lease, lease_s=lease_s)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.held))
        self.ledger.release(lease)
        if self.model is not None and lease.token == self.model.token:
            self.model.owner, self.model.is_valid = None, False

    @rule(stop=st.sampled_from(["cancel", "pause"]))
    def ask_to_stop(self, stop: Stop) -> None:
        may = self.model is not None and (stop == "cancel" or self.model.stop != "cancel")
        assert self.ledger.ask_to_stop(self.id, stop) == may
        if self.model is not None and may:
            self.model.stop = stop

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.held))
        if self._is_valid(lease):
            assert self.ledger.under(lease).update_document("thing", self.id, status="done", end=True) is not None
            self.model = None
        else:
            with pytest.raises(LeaseLost):
                self.ledger.under(lease).update_document("thing", self.id, status="done", end=True)

    @invariant()
    def holds(self) -> None:
        work, model = self.ledger.work(self.id), self.model
        assert (work is None) == (model is None)
        if work is not None and model is not None:
            assert (work.owner, work.token, work.stop) == (model.owner, model.token, model.stop)
            assert (self.id in {free.id for free in self.ledger.free_work()}) == (not model.is_valid)

    @invariant()
    def one_at_most_can_write(self) -> None:
        able = [has(self.ledger, lease) for lease in self.held[-2:]]
        assert able == [self._is_valid(lease) for lease in self.held[-2:]]
        assert sum(able) <= 1

    def _is_valid(self, lease: Lease) -> bool:
        return self.model is not None and self.model.is_valid and lease.token == self.model.token


def test_any_order_of_claims(ledger: Ledger) -> None:
    """Whatever two owners do in whatever order: never two leases hold, tokens grow, only the holder writes."""

    class Machine(Leases):
        pass

    Machine.ledger, Machine.names = ledger, itertools.count()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
