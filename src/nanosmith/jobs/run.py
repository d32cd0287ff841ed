"""The process of one job: `python -m nanosmith.jobs.run JOB_ID --home DIR`.

A job in `validating_files` has its files checked; a queued one is tuned. Order of durability: bundle sealed → model
row → result file → job row succeeded; an attempt that begins again first removes what an earlier one left.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from nanosmith.core.errors import Cancelled
from nanosmith.jobs import messages, models
from nanosmith.jobs.attempt import Stopped, attempt
from nanosmith.jobs.inputs import load_inputs
from nanosmith.jobs.leftovers import remove_all
from nanosmith.jobs.names import model_name
from nanosmith.jobs.request import read_request, tune_settings
from nanosmith.jobs.results import store_results
from nanosmith.jobs.watch import LedgerWatch, known_hyperparameters
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger, new_event
from nanosmith.store.records import JobRow

if TYPE_CHECKING:
    from nanosmith.flows.tune import Tuned

TUNE = "nanosmith.flows.tune:tune"
KEPT_CHECKPOINTS = 3  # as OpenAI keeps
TERMINATED = 143  # 128 + SIGTERM, as shells report it
NICENESS = 5
Tune = Callable[..., "Tuned"]


def main(
    job_id: str, home: Home, *, tune: Tune | str = TUNE, only_validate: bool = False, parent: int | None = None
) -> JobRow | None:
    """Do what a waiting job needs next, up to its end, unless another process has it. Returns its row as it is then."""
    with closing(Ledger(home.ledger)) as ledger:
        _validate(ledger, home, job_id, parent)
        if not only_validate:
            _tune(ledger, home, job_id, tune, parent)
        return ledger.job(job_id)


def _validate(ledger: Ledger, home: Home, job_id: str, parent: int | None) -> None:
    waiting = {"status": "validating_files", "pid": None}
    job = ledger.update_job(job_id, expect=waiting, pid=os.getpid(), heartbeat_at=int(time.time()))
    if job is None:
        return
    with attempt(ledger, home, job, parent=parent):
        load_inputs(ledger, home, job)
        said = [new_event(job_id, messages.VALIDATED)]
        ledger.update_job(job_id, expect={"pid": job.pid}, also=said, status="queued", pid=None)


def _tune(ledger: Ledger, home: Home, job_id: str, tune: Tune | str, parent: int | None) -> None:
    job = ledger.claim_job(job_id, pid=os.getpid(), now=int(time.time()))
    if job is None:
        return
    with attempt(ledger, home, job, parent=parent) as pulse:
        if job.cancel_requested:
            raise Cancelled("stopped on request")
        remove_all(ledger, home, job)
        ledger.add_event(job_id, messages.STARTED)
        train, validation = load_inputs(ledger, home, job)
        request = read_request(job.request)
        settings = tune_settings(request, models.resolve(job.model), seed=job.seed, name=model_name(job))
        watch = LedgerWatch(ledger, job, should_stop=pulse.should_stop)
        run = _load(tune) if isinstance(tune, str) else tune
        tuned = run(
            train, test=validation, settings=settings, home=home, watch=watch, keep_checkpoints=KEPT_CHECKPOINTS
        )
        ledger.update_model(tuned.model_name, job_id=job_id)
        _succeed(ledger, job, tuned, watch, [store_results(ledger, home, job, watch.steps)])


def _succeed(ledger: Ledger, job: JobRow, tuned: Tuned, watch: LedgerWatch, result_files: list[str]) -> None:
    """The recipe that was kept tells its hyperparameters in the manifest, also where it told the watch nothing."""
    said = [messages.model_created(tuned.model_name), messages.COMPLETED]
    ledger.update_job(
        job.id,
        expect={"pid": job.pid},
        also=[new_event(job.id, text) for text in said],
        status="succeeded",
        pid=None,
        hyperparameters=watch.hyperparameters | known_hyperparameters(tuned.bundle.manifest.settings),
        fine_tuned_model=tuned.model_name,
        result_files=result_files,
        trained_tokens=tuned.trained_tokens,
        finished_at=int(time.time()),
        estimated_finish=None,
    )


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _stop(*_: object) -> None:
    """The first signal stops the work; later ones do not disturb the tidying."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nanosmith.jobs.run", description="Run one fine-tuning job.")
    parser.add_argument("job_id")
    parser.add_argument("--home", help="the data folder")
    parser.add_argument("--only-validate", action="store_true", help="check the files, do not tune")
    parser.add_argument("--parent", type=int, help="end when this process is no longer the parent")
    parser.add_argument("--tune", default=TUNE, help="the flow, as module:attribute")
    return parser.parse_args()


def cli() -> None:
    given = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    with contextlib.suppress(OSError, AttributeError):  # requests are answered first; Windows has no nice
        os.nice(NICENESS)
    try:
        home = open_home(given.home)
        main(given.job_id, home, tune=given.tune, only_validate=given.only_validate, parent=given.parent)
    except Stopped:
        sys.exit(TERMINATED)


if __name__ == "__main__":
    cli()
