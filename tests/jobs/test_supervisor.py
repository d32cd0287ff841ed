"""The supervisor with real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nanosmith.jobs.control import cancel
from nanosmith.jobs.messages import INTERRUPTED
from nanosmith.jobs.owner import is_dead, owner_name
from nanosmith.jobs.supervisor import Supervisor
from nanosmith.jobs.worker import KILL_S, REACT_S
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import JobRow

Start = Callable[..., Supervisor]
SLOW = "nanosmith.testing:slow_tune"
SERVER = """
import sys, time
from nanosmith.jobs.supervisor import Supervisor
from nanosmith.store.home import open_home
Supervisor(open_home(sys.argv[1]), tune="nanosmith.testing:slow_tune").start()
time.sleep(60)
"""


@pytest.fixture
def start(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a supervisor whose jobs run this flow; stopped at the end of the test."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    started: list[Supervisor] = []

    def start(tune: str = SLOW) -> Supervisor:
        started.append(Supervisor(home, poll_s=0.05, tune=tune))
        started[-1].start()
        return started[-1]

    yield start
    for supervisor in started:
        supervisor.stop()


def owner(ledger: Ledger, job: JobRow) -> Any:
    """The process that has a job now."""
    work = ledger.work(job.id)
    return work and work.owner


def wait_until(true: Callable[[], Any], within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def test_jobs_in_turn_and_bad_files_at_once(
    start: Start, home: Home, ledger: Ledger, create: Any, upload: Any, wait_for: Any
) -> None:
    """While one job is tuned, a bad file of a later one is found, a good one is queued, and can be cancelled."""
    first = create(hyperparameters={"n_epochs": 50}, nanosmith={"budget": "1h"})
    start("job_tunes:deaf")
    wait_for(first.id, "running")
    bad, good = create(training_file=upload(b"{}\n")), create()
    assert wait_for(bad.id).status == "failed"
    wait_for(good.id, "queued")
    wait_until(lambda: owner(ledger, good) is None)
    assert owner(ledger, first) is not None
    assert cancel(ledger, good.id).status == "cancelled"


@pytest.mark.parametrize("tune", ["deaf", "stubborn"])
def test_cancel_takes_two_seconds(
    start: Start, home: Home, ledger: Ledger, create: Any, wait_for: Any, told: Any, tune: str
) -> None:
    """Also of a flow that never looks, or that ignores SIGTERM: the process is gone and nothing of it stays.

    The patience adds up to well under two seconds; what is measured also has the pace of a busy machine in it.
    """
    assert REACT_S + KILL_S < 1.5
    job = create()
    start(f"job_tunes:{tune}")
    wait_until(lambda: tune in told(job.id))
    wait_for(job.id, "running")
    process = owner(ledger, job)
    asked = time.monotonic()
    cancel(ledger, job.id)
    row = wait_for(job.id)
    assert row.status == "cancelled"
    assert time.monotonic() - asked < 10
    wait_until(lambda: is_dead(process), 1)
    wait_until(lambda: not list(home.jobs.glob("*")), 1)


def test_job_that_always_dies(start: Start, home: Home, create: Any, wait_for: Any, told: Any) -> None:
    """Three starts, then failed; the message says how it ended."""
    job = create()
    start("job_tunes:dies")
    row = wait_for(job.id)
    assert (row.status, row.error["code"]) == ("failed", "worker_died")
    assert "3 times" in row.error["message"]
    assert "killed" in row.error["message"]
    assert told(job.id).count("Fine-tuning job started") == 3
    assert told(job.id).count(INTERRUPTED) == 2


def test_killed_after_the_model_was_made(start: Start, home: Home, ledger: Ledger, create: Any, wait_for: Any) -> None:
    """The job starts again and ends with one final model."""
    job = create()
    start("job_tunes:dies_once")
    assert wait_for(job.id).status == "succeeded"
    assert len(ledger.models()) == len(list(home.bundles.iterdir())) == 2
    assert len(ledger.files(purpose="fine-tune-results")) == 1


def test_stop_and_start(start: Start, home: Home, ledger: Ledger, create: Any, wait_for: Any, told: Any) -> None:
    """A stopped supervisor leaves the job queued and no process; the next one finishes it."""
    job = create(hyperparameters={"n_epochs": 50})
    supervisor = start()
    wait_for(job.id, "running")
    process = owner(ledger, job)
    supervisor.stop()
    row = ledger.job(job.id)
    assert row is not None
    assert (row.status, owner(ledger, job)) == ("queued", None)
    assert is_dead(process)
    assert told(job.id)[-1] == INTERRUPTED
    start()
    assert wait_for(job.id).status == "succeeded"


def test_server_killed(start: Start, home: Home, ledger: Ledger, create: Any, wait_for: Any, told: Any) -> None:
    """After kill -9 of the server its job's process ends by itself, and the next server runs the job."""
    job = create(hyperparameters={"n_epochs": 50})
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(home.root)])
    wait_for(job.id, "running")
    process = owner(ledger, job)
    server.kill()
    server.wait()
    wait_until(lambda: is_dead(process), 10)
    start()
    assert wait_for(job.id).status == "succeeded"
    assert INTERRUPTED in told(job.id)


def test_jobs_of_dead_processes_are_taken_back(start: Start, ledger: Ledger, create: Any, told: Any) -> None:
    """A process that is gone, or whose lease has run out, has its job no more; one that lives keeps it."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, stale, alive = create(), create(), create()
    for job, name, lease_s in ((dead, owner_name(gone.pid), 60), (stale, "other:1", -1), (alive, owner_name(), 60)):
        lease = ledger.claim(job.id, name, lease_s=60)
        assert lease is not None
        ledger.under(lease).update_job(job.id, status="running")
        ledger.renew(lease, lease_s=lease_s)
    start("job_tunes:deaf")
    wait_until(lambda: INTERRUPTED in told(dead.id) and INTERRUPTED in told(stale.id))
    row = ledger.job(alive.id)
    assert row is not None
    assert (row.status, owner(ledger, alive)) == ("running", owner_name())


def test_owner_of_another_machine() -> None:
    """Whether a process lives is known of this machine's alone."""
    assert not is_dead(owner_name())
    assert not is_dead("elsewhere:999999999")
    assert is_dead(owner_name(999_999_999))


def test_stop_before_start(home: Home) -> None:
    """A supervisor that was never started can be stopped."""
    Supervisor(home).stop()


def test_signals_reach_the_process(home: Home, ledger: Ledger, create: Any, told: Any, wait_for: Any) -> None:
    """SIGINT to a job's own process puts the job back, with exit code 143 and an empty stderr."""
    job = create(hyperparameters={"n_epochs": 50})
    command = [sys.executable, "-m", "nanosmith.jobs.run", job.id, "--home", str(home.root), "--tune", SLOW]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(message.startswith("Step") for message in told(job.id)))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (143, "")
    wait_for(job.id, "queued")
    wait_until(lambda: owner(ledger, job) is None)
    assert not list(home.jobs.glob("*"))


def test_a_process_that_cannot_end(
    home: Home, ledger: Ledger, create: Any, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked to end, it is ended by the system after ENDS_S, as its parent may be gone."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    job = create()
    program = "from nanosmith.jobs import run; run.ENDS_S = 1; run.cli()"
    command = [sys.executable, "-c", program, job.id, "--home", str(home.root), "--tune", "job_tunes:lingering"]
    process = subprocess.Popen(command)
    wait_until(lambda: "lingering" in told(job.id))
    process.terminate()
    assert process.wait(30) == -signal.SIGALRM
