"""Cancelling."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.errors import InputError, NotFound
from nanosmith.jobs.control import cancel
from nanosmith.store.ledger import Ledger


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
    """The process that has the job finds the request in its row."""
    job = create()
    ledger.update_job(job.id, status="queued")
    ledger.claim_job(job.id, pid=1, now=1)
    asked = cancel(ledger, job.id)
    assert (asked.status, asked.cancel_requested) == ("running", True)
    assert cancel(ledger, job.id).cancel_requested


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_ended_job_cannot_be_cancelled(ledger: Ledger, create: Any, status: str) -> None:
    """A 400 that names the state; the row does not change."""
    job = create()
    before = ledger.update_job(job.id, status=status)
    with pytest.raises(InputError, match=status) as caught:
        cancel(ledger, job.id)
    assert caught.value.http_status == 400
    assert ledger.job(job.id) == before


def test_unknown_job(ledger: Ledger) -> None:
    """A 404."""
    with pytest.raises(NotFound) as caught:
        cancel(ledger, "ftjob-nowhere")
    assert caught.value.http_status == 404
