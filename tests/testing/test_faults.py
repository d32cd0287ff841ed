"""The fault kit: nothing is found in the product, and what is broken on purpose is found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanosmith.testing.faults import (
    FaultFound,
    NotPossible,
    Outcome,
    eio,
    full,
    kill,
    lease,
    restart,
    states,
    upload,
)

ROOT = Path(__file__).parents[2]
BROKEN = "tests.testing.broken"
Fault = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def path_of_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes under test find the functions that break them."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def done(fault: Fault, folder: Path, **options: Any) -> Outcome:
    try:
        return fault(folder, **options)
    except NotPossible as error:
        pytest.skip(str(error))


def found(fault: Fault, folder: Path, **options: Any) -> FaultFound:
    with pytest.raises(FaultFound) as caught:
        done(fault, folder, **options)
    return caught.value


@pytest.mark.parametrize("cycles", [20, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_kill(tmp_path: Path, cycles: int) -> None:
    """API and worker are killed again and again: everything that was acknowledged is there, once."""
    outcome = done(kill.kill, tmp_path, cycles=cycles, seed=cycles)
    assert outcome.times == cycles
    assert outcome.checked > 2 * cycles


def test_lost_commits_are_found(tmp_path: Path) -> None:
    """A ledger that acknowledges before it commits loses things."""
    assert found(kill.kill, tmp_path, cycles=20, broken=f"{BROKEN}:late_commits").found.lost


@pytest.mark.long
def test_second_models_are_found(tmp_path: Path) -> None:
    """A job that makes two models of its result is seen."""
    assert found(kill.kill, tmp_path, cycles=1, tune=f"{BROKEN}:two_models").found.duplicates


def test_killed_before_each_flush_of_an_upload(tmp_path: Path) -> None:
    """What was acknowledged is there with its bytes, and an upload in parts can be completed."""
    assert done(upload.upload, tmp_path).checked > 50


def test_half_blobs_are_found(tmp_path: Path) -> None:
    """Bytes that are written under their final name are seen half-written."""
    assert found(upload.upload, tmp_path, broken=f"{BROKEN}:half_blobs").found.wrong


def test_killed_before_each_flush_of_a_state(tmp_path: Path) -> None:
    """The old training state or the new one is there, whole."""
    assert done(states.killed, tmp_path).times >= 7


def test_states_written_in_place_are_found(tmp_path: Path) -> None:
    """A state that is written over the one before it is lost with it."""
    assert found(states.killed, tmp_path, broken=f"{BROKEN}:states_in_place").found.lost


def test_truncated_states_are_passed_over(tmp_path: Path) -> None:
    """Wherever the newest state is cut short, the one before it is taken."""
    assert done(states.truncated, tmp_path).times == 9


def test_trust_in_states_is_found(tmp_path: Path) -> None:
    """A state that is not checked is taken although it is damaged."""
    assert found(states.truncated, tmp_path, broken=f"{BROKEN}:trusting").found.wrong


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.long)])
def test_eio(tmp_path: Path, every: int) -> None:
    """A flush that fails stops the server, and nothing that was acknowledged is lost."""
    assert done(eio.eio, tmp_path, every=every).times >= 8 // every


def test_ignored_eio_is_found(tmp_path: Path) -> None:
    """A server that goes on after a failed flush is seen."""
    assert found(eio.eio, tmp_path, broken=f"{BROKEN}:deaf_to_the_disk").found.wrong


def test_full_disk(tmp_path: Path) -> None:
    """A full disk is said to be full; nothing half is left, files can be deleted, and then there is room."""
    assert done(full.full, tmp_path).checked > 20


def test_leftovers_on_a_full_disk_are_found(tmp_path: Path) -> None:
    """What did not fit and was left is seen."""
    assert found(full.full, tmp_path, broken=f"{BROKEN}:leftovers_on_a_full_disk").found.wrong


@pytest.mark.parametrize(("every", "in_full"), [(15, False), pytest.param(1, True, marks=pytest.mark.long)])
def test_worker_past_its_lease(tmp_path: Path, every: int, in_full: bool) -> None:
    """A worker that was stopped past its lease, wherever, writes nothing when it goes on."""
    assert done(lease.lease, tmp_path, every=every, in_full=in_full).times >= 60 // every


@pytest.mark.parametrize("broken", ["without_fences", pytest.param("careless_tidying", marks=pytest.mark.long)])
def test_writes_past_a_lease_are_found(tmp_path: Path, broken: str) -> None:
    """A worker that does not look at its lease before it writes, or before it removes, is seen."""
    assert found(lease.lease, tmp_path, in_full=False, broken=f"{BROKEN}:{broken}")


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.long)])
def test_postgres_restarts(tmp_path: Path, postgres: Any, times: int) -> None:
    """PostgreSQL crashes in the middle of a job: the job succeeds, and no event or acknowledged thing is lost."""
    assert done(restart.restart, tmp_path, times=times, server=postgres).checked > 3


@pytest.mark.long
def test_impatience_with_postgres_is_found(tmp_path: Path, postgres: Any) -> None:
    """A job that gives up what it could not write is seen."""
    assert found(restart.restart, tmp_path, times=2, server=postgres, tune=f"{BROKEN}:impatient").found.lost


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nanosmith.testing.faults", *options]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": "", "COLUMNS": "200"})


def test_command(tmp_path: Path) -> None:
    """It shows a line for each fault that was asked for, says what is missing for those that it cannot do, and leaves
    nothing behind."""
    shown = run("--only", "truncated,eio", "--home", str(tmp_path / "new"))
    assert shown.returncode == 0, shown.stderr
    assert "nothing found" in shown.stdout
    assert "skipped" in shown.stdout
    assert "apt-get install strace" in shown.stdout
    assert not list((tmp_path / "new").iterdir())


def test_command_knows_its_faults() -> None:
    """An unknown name is refused with those that there are."""
    shown = run("--only", "kil")
    assert shown.returncode == 2
    assert "allowed: eio, fsync" in shown.stderr
