"""How a fine-tuning job that does not succeed comes to its end, or back into the queue."""

from __future__ import annotations

import time
from typing import Any

from nanosmith.jobs import messages
from nanosmith.jobs.leftovers import forget, remove_final
from nanosmith.jobs.webhooks.webhooks import announce
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, new_event
from nanosmith.store.records import Stop

WAITING: dict[str, Any] = {"started_at": None, "estimated_finish": None}


class JobEndings:
    """See nanosmith.jobs.attempt.Endings."""

    def stop(self, ledger: Ledger, home: Home, id: str, how: Stop) -> None:
        job = ledger.job(id)
        if job is None:
            return
        if how == "pause":
            said = [new_event(id, messages.PAUSED)]
            ledger.update_job(id, also=said, end=True, status="paused", estimated_finish=None)
            return
        remove_final(ledger, home, job)
        said = [new_event(id, messages.CANCELLED)]
        told = announce(ledger, "fine_tuning.job.cancelled", id)
        ledger.update_job(id, also=[*said, *told], end=True, status="cancelled", **ended())
        forget(home, id)

    def put_back(self, ledger: Ledger, home: Home, id: str) -> None:
        job = ledger.job(id)
        if job is not None and job.status == "running":
            said = [new_event(id, messages.INTERRUPTED, level="warn")]
            ledger.update_job(id, also=said, status="queued", **WAITING)

    def fail(self, ledger: Ledger, home: Home, id: str, *, code: str, message: str, param: str | None = None) -> None:
        job = ledger.job(id)
        if job is None:
            return
        remove_final(ledger, home, job)
        said = [new_event(id, messages.failed(message), level="error")]
        told = announce(ledger, "fine_tuning.job.failed", id)
        error = {"code": code, "message": message, "param": param}
        ledger.update_job(id, also=[*said, *told], end=True, status="failed", error=error, **ended())
        forget(home, id)


def ended() -> dict[str, Any]:
    return {"finished_at": int(time.time()), "estimated_finish": None}
