"""The work of a fine-tuning job: check its files, tune, and announce the model.

Order of durability: bundle sealed → model row → result file → job row succeeded; an attempt that begins again first
removes what an earlier one did not come to announce, and goes on from the newest training state that it kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from nanosmith.core.errors import Cancelled
from nanosmith.jobs import messages, models
from nanosmith.jobs.inputs import load_inputs
from nanosmith.jobs.kinds import load
from nanosmith.jobs.leftovers import forget, remove_unannounced, state_folder
from nanosmith.jobs.names import model_name
from nanosmith.jobs.pulse import Pulse
from nanosmith.jobs.request import read_request, tune_settings
from nanosmith.jobs.results import store_results
from nanosmith.jobs.watch import LedgerWatch, known_hyperparameters
from nanosmith.jobs.webhooks.webhooks import announce
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, new_event
from nanosmith.store.records import JobRow

if TYPE_CHECKING:
    from nanosmith.flows.tune import Tuned

TUNE = "nanosmith.flows.tune:tune"
KEPT_CHECKPOINTS = 3  # as OpenAI keeps
Tune = Callable[..., "Tuned"]


def run(
    ledger: Ledger, home: Home, id: str, pulse: Pulse, *, tune: Tune | str = TUNE, only_validate: bool = False
) -> None:
    """Check the files of a job that is new, then tune it, unless only its files are to be checked."""
    job = _job(ledger, id)
    if job.status == "validating_files":
        load_inputs(ledger, home, job)
        ledger.update_job(id, also=[new_event(id, messages.VALIDATED)], status="queued")
    if not only_validate:
        _tune(ledger, home, _job(ledger, id), pulse, load(tune) if isinstance(tune, str) else tune)


def _tune(ledger: Ledger, home: Home, job: JobRow, pulse: Pulse, tune: Tune) -> None:
    if pulse.should_stop():
        raise Cancelled("stopped on request")
    remove_unannounced(ledger, home, job)
    said = [new_event(job.id, messages.STARTED)]
    ledger.update_job(job.id, also=said, status="running", started_at=int(time.time()))
    train, validation = load_inputs(ledger, home, job)
    request = read_request(job.request)
    local = models.resolve(job.model, ledger)
    settings = tune_settings(request, models.fitting(local, train.task.kind), seed=job.seed, name=model_name(job))
    watch = LedgerWatch(ledger, job, should_stop=pulse.should_stop)
    tuned = tune(
        train, test=validation, settings=settings, home=home, ledger=ledger, watch=watch,
        keep_checkpoints=KEPT_CHECKPOINTS, state=state_folder(home, job.id),
    )  # fmt: skip
    ledger.update_model(tuned.model_name, job_id=job.id)
    _succeed(ledger, job, tuned, watch, [store_results(ledger, home, job, watch.steps)])
    forget(home, job.id)


def _succeed(ledger: Ledger, job: JobRow, tuned: Tuned, watch: LedgerWatch, result_files: list[str]) -> None:
    """The recipe that was kept tells its hyperparameters in the manifest, also where it told the watch nothing."""
    said = [messages.model_created(tuned.model_name), messages.COMPLETED]
    ledger.update_job(
        job.id,
        also=[*(new_event(job.id, text) for text in said), *announce(ledger, "fine_tuning.job.succeeded", job.id)],
        end=True,
        status="succeeded",
        hyperparameters=watch.hyperparameters | known_hyperparameters(tuned.bundle.manifest.settings),
        fine_tuned_model=tuned.model_name,
        result_files=result_files,
        trained_tokens=tuned.trained_tokens,
        finished_at=int(time.time()),
        estimated_finish=None,
    )


def _job(ledger: Ledger, id: str) -> JobRow:
    job = ledger.job(id)
    assert job is not None, "a work goes with its job"
    return job
