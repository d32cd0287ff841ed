"""How a job that does not succeed comes to its end, or back into the queue."""

from __future__ import annotations

import time

from nanosmith.jobs import messages
from nanosmith.jobs.leftovers import remove_final
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, new_event
from nanosmith.store.records import ENDED, JobRow


def end_waiting(ledger: Ledger, job_id: str) -> JobRow | None:
    """Cancel a job that no process has taken, or give None."""
    said = [new_event(job_id, messages.CANCELLED)]
    end = {"status": "cancelled", "cancel_requested": True, "finished_at": int(time.time())}
    return ledger.update_job(job_id, expect={"pid": None}, also=said, **end)


def release(ledger: Ledger, home: Home, job: JobRow) -> None:
    """The process of `job` (as it was when that process took it) works on it no more: it is cancelled where that was
    asked for, else it waits again. Nothing happens when another process has it by now."""
    now = ledger.job(job.id)
    if now is None or now.pid != job.pid or now.status in ENDED:
        return
    if now.cancel_requested:
        remove_final(ledger, home, job)
        said = [new_event(job.id, messages.CANCELLED)]
        ledger.update_job(job.id, expect={"pid": job.pid}, also=said, status="cancelled", pid=None, **_ended())
        return
    said = [new_event(job.id, messages.INTERRUPTED, level="warn")]
    waiting = "validating_files" if now.status == "validating_files" else "queued"
    again = {"status": waiting, "pid": None, "heartbeat_at": None, "started_at": None, "estimated_finish": None}
    ledger.update_job(job.id, expect={"pid": job.pid}, also=said, **again)


def fail(ledger: Ledger, home: Home, job: JobRow, *, code: str, message: str, param: str | None = None) -> None:
    """End a job with an error, if it is still this process's."""
    now = ledger.job(job.id)
    if now is None or now.pid != job.pid or now.status in ENDED:
        return
    remove_final(ledger, home, job)
    said = [new_event(job.id, messages.failed(message), level="error")]
    error = {"code": code, "message": message, "param": param}
    ledger.update_job(job.id, expect={"pid": job.pid}, also=said, status="failed", pid=None, error=error, **_ended())


def _ended() -> dict[str, int | None]:
    return {"finished_at": int(time.time()), "estimated_finish": None}
