"""Cancelling."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.errors import InputError, NotFound
from nanosmith.jobs.control import cancel, pause, resume
from nanosmith.store.ledger import Ledger


def claim(ledger: Ledger, id: str) -> None:
    assert ledger.claim(id, "other:1") is not None


def asked(ledger: Ledger, id: str) -> Any:
    """What the process that has the job finds."""
    work = ledger.work(id)
    return work and work.stop


@pytest.mark.parametrize("status", ["validating_files", "queued"])
def test_waiting_job_ends_at_once(ledger: Ledger, create: Any, told: Any, status: str) -> None:
    """No process has to be asked: the job is cancelled when the call returns."""
    job = create()
    ledger.update_job(job.id, status=status)
    ended = cancel(ledger, job.id)
    assert ended.status == "cancelled"
    assert ended.finished_at is not None
    assert told(job.id)[-1] == "The job was cancelled"


def test_running_job_is_asked(ledger: Ledger, create: Any) -> None:
    """The process that has the job finds the request in its work."""
    job = create()
    ledger.update_job(job.id, status="queued")
    claim(ledger, job.id)
    ledger.update_job(job.id, status="running")
    assert cancel(ledger, job.id).status == "running"
    assert asked(ledger, job.id) == "cancel"
    assert cancel(ledger, job.id).status == "running"


def test_pause_of_a_running_job_is_asked(ledger: Ledger, create: Any) -> None:
    """As for a cancel, which a later pause does not take back."""
    job = create()
    claim(ledger, job.id)
    pause(ledger, job.id)
    assert asked(ledger, job.id) == "pause"
    assert pause(ledger, job.id).id == job.id
    cancel(ledger, job.id)
    with pytest.raises(InputError, match="cannot be paused"):
        pause(ledger, job.id)
    assert asked(ledger, job.id) == "cancel"


def test_waiting_job_is_paused_and_resumed(ledger: Ledger, create: Any, told: Any) -> None:
    """At once; while it is paused no worker sees it, and it can be cancelled."""
    job = create()
    assert pause(ledger, job.id).status == "paused"
    assert ledger.open_work() == []
    assert resume(ledger, job.id).status == "queued"
    assert len(ledger.free_work()) == 1
    assert told(job.id)[-2:] == ["The job was paused", "The job was resumed"]
    pause(ledger, job.id)
    assert cancel(ledger, job.id).status == "cancelled"


@pytest.mark.parametrize("call", [pause, resume])
def test_wrong_state(ledger: Ledger, create: Any, call: Any) -> None:
    """A 400 that names the state, for a job that is paused already or has ended, or that was never paused."""
    job = create()
    if call is pause:
        pause(ledger, job.id)
    with pytest.raises(InputError, match="another state") as caught:
        call(ledger, job.id)
    assert caught.value.code == "wrong_job_state"
    cancel(ledger, job.id)
    with pytest.raises(InputError, match="has ended"):
        call(ledger, job.id)


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_ended_job_cannot_be_cancelled(ledger: Ledger, create: Any, status: str) -> None:
    """A 400 that names the state; the row does not change."""
    job = create()
    before = ledger.update_job(job.id, status=status, end=True)
    with pytest.raises(InputError, match=status) as caught:
        cancel(ledger, job.id)
    assert caught.value.http_status == 400
    assert ledger.job(job.id) == before


def test_unknown_job(ledger: Ledger) -> None:
    """A 404."""
    with pytest.raises(NotFound) as caught:
        cancel(ledger, "ftjob-nowhere")
    assert caught.value.http_status == 404
