"""Stopping a job on request, for good or for a while."""

from __future__ import annotations

from typing import NoReturn

from nanosmith.core.errors import InputError, NotFound
from nanosmith.jobs import messages
from nanosmith.jobs.ending import ended
from nanosmith.jobs.webhooks.webhooks import announce
from nanosmith.store.ledger import Ledger, new_event
from nanosmith.store.records import ENDED, JobRow


def cancel(ledger: Ledger, job_id: str) -> JobRow:
    """End a waiting or paused job at once; ask a running one to stop, which takes up to two seconds.

    Raises NotFound, or InputError when the job has ended already.
    """
    said = [new_event(job_id, messages.CANCELLED), *announce(ledger, "fine_tuning.job.cancelled", job_id)]
    job = ledger.end_free_job(job_id, also=said, status="cancelled", **ended())
    if job is None and not ledger.ask_to_stop(job_id, "cancel"):
        job = ledger.update_job(job_id, expect={"status": "paused"}, also=said, status="cancelled", **ended())
        if job is None:
            _refuse(ledger, job_id, "cancelled")
    return job or _row(ledger, job_id)


def pause(ledger: Ledger, job_id: str) -> JobRow:
    """Take a waiting job out of the queue at once; ask a running one to stop, which takes up to two seconds. What it
    learned since its last training state is learned again after `resume`.

    Raises NotFound, or InputError when the job is paused already or has ended.
    """
    said = [new_event(job_id, messages.PAUSED)]
    job = ledger.end_free_job(job_id, also=said, status="paused")
    if job is None and not ledger.ask_to_stop(job_id, "pause"):
        _refuse(ledger, job_id, "paused")
    return job or _row(ledger, job_id)


def resume(ledger: Ledger, job_id: str) -> JobRow:
    """Put a paused job back into the queue. Raises NotFound, or InputError when it is not paused."""
    job = ledger.resume_job(job_id, also=[new_event(job_id, messages.RESUMED)])
    if job is None:
        _refuse(ledger, job_id, "resumed")
    return job


def _row(ledger: Ledger, job_id: str) -> JobRow:
    job = ledger.job(job_id)
    if job is None:
        raise NotFound("no fine-tuning job with this id", got=repr(job_id), param="fine_tuning_job_id")
    return job


def _refuse(ledger: Ledger, job_id: str, what: str) -> NoReturn:
    """Raises the error for a job whose state does not allow this."""
    job = _row(ledger, job_id)
    state = "has ended" if job.status in ENDED else "is in another state"
    raise InputError(
        f"the job {state} and cannot be {what}", where=job_id, got=job.status, param="fine_tuning_job_id",
        code="job_ended" if job.status in ENDED else "wrong_job_state",
    )  # fmt: skip
