"""Stopping a job on request."""

from __future__ import annotations

from nanosmith.core.errors import InputError, NotFound
from nanosmith.jobs.ending import end_waiting
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import JobRow


def cancel(ledger: Ledger, job_id: str) -> JobRow:
    """End a waiting job at once; ask a running one to stop, which takes up to two seconds.

    Raises NotFound, or InputError when the job has ended already.
    """
    job = end_waiting(ledger, job_id) or ledger.update_job(job_id, cancel_requested=True)
    if job is not None:
        return job
    ended = ledger.job(job_id)
    if ended is None:
        raise NotFound("no fine-tuning job with this id", got=repr(job_id), param="fine_tuning_job_id")
    raise InputError(f"the job has ended ({ended.status}) and cannot be cancelled", where=job_id, code="job_ended")
