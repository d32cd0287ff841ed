"""Run one job again and again, killed just before each (EVERYth) durable step; see test_crash_points.py.

    python crash_points.py HOME JOB_ID EVERY

Each round forks: the child runs the job on a copy of the data folder and dies at its step; then the job is taken back,
as a supervisor would do, and run to its end. Prints one JSON object per round.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from nanosmith.core.errors import NanosmithError
from nanosmith.jobs import leftovers, messages, run
from nanosmith.store.bundles import open_bundle
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger, database
from nanosmith.testing import slow_tune
from nanosmith.testing.faults.steps import before_step

KILLED = 99


def quick_tune(train: Any, **given: Any) -> Any:
    return slow_tune(train, step_s=0, **given)


def killed_run(home: Home, job_id: str, step: int) -> bool:
    """Whether the run came to its step and died there."""
    child = os.fork()
    if not child:
        before_step(step, lambda: os._exit(KILLED))
        run.main(job_id, home, tune=quick_tune)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def outcome(home: Home, job_id: str) -> dict[str, Any]:
    ledger = Ledger(home.ledger)
    leftovers.sweep(ledger, home)
    run.main(job_id, home, tune=quick_tune)
    ended = ledger.job(job_id)
    assert ended is not None
    models = ledger.models()
    found = {
        "status": ended.status,
        "named": ended.fine_tuned_model,
        "models": sorted(model.name.removeprefix(f"{ended.fine_tuned_model}") for model in models),
        "folders": len(list(home.bundles.iterdir())),
        "whole": sum(is_whole(home.bundles / model.bundle) for model in models),
        "checkpoints": len(ledger.checkpoints(job_id)),
        "results": [file.id for file in ledger.files(purpose="fine-tune-results")] == ended.result_files,
        "completed": [event.message for event in ledger.events(job_id, limit=1000)].count(messages.COMPLETED),
        "working": len(list(home.jobs.glob("*"))),
    }
    ledger.close()
    return found


def is_whole(folder: Path) -> bool:
    try:
        open_bundle(folder)
    except NanosmithError:
        return False
    return True


def without_flushing() -> None:
    """A killed process loses nothing that it wrote, only a power loss does: the rounds need not wait for the disk."""
    os.fsync = lambda _: None
    database._durable = lambda connection, _: connection.execute("PRAGMA synchronous=OFF")


def main(template: Path, job_id: str, every: int) -> None:
    without_flushing()
    run.main(job_id, open_home(template), only_validate=True)
    step, alive = 1, True
    while alive:
        root = template.with_name(f"round-{step}")
        shutil.copytree(template, root)
        home = open_home(root)
        alive = killed_run(home, job_id, step)
        print(json.dumps(outcome(home, job_id)), flush=True)
        shutil.rmtree(root)
        step += every


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
