"""Creating a job: everything that can be said at once; the files' content is checked by the job's own process."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.jobs import messages, models
from nanosmith.jobs.names import model_name
from nanosmith.jobs.request import MAX_SEED, CreateJob, read_request, slug, tune_settings
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, new_event, new_id
from nanosmith.store.records import EventRow, FileRow, JobRow

PURPOSE = "fine-tune"


def submit(
    ledger: Ledger, home: Home, request: CreateJob | Mapping[str, Any], *,
    id: str | None = None, also: Sequence[msgspec.Struct] = (),
) -> JobRow:  # fmt: skip
    """Store a new job in state `validating_files`, with the rows in `also`. Raises InputError, with the field as its
    param; then nothing is stored."""
    received = msgspec.to_builtins(request) if isinstance(request, CreateJob) else dict(request)
    checked = read_request(received)
    local = models.resolve(checked.model, ledger)
    check_file(ledger, checked.training_file, "training_file")
    if checked.validation_file is not None:
        check_file(ledger, checked.validation_file, "validation_file")
    job = JobRow(
        id=id or new_id("ftjob-"),
        created_at=int(time.time()),
        model=checked.model,
        training_file=checked.training_file,
        validation_file=checked.validation_file,
        request=received,
        seed=secrets.randbelow(MAX_SEED) if checked.seed is None else checked.seed,
        hyperparameters=msgspec.to_builtins(checked.asked),
        suffix=slug(checked.suffix),
        metadata=checked.metadata,
    )
    tune_settings(checked, local, seed=job.seed, name=model_name(job))  # refuses what the flow could not do
    ledger.add_job(job, also=[*_first_events(job, local), *also])
    return job


def check_file(ledger: Ledger, id: str, param: str, purpose: str = PURPOSE) -> FileRow:
    """The file of a request. Raises InputError when there is none, or one with another purpose."""
    file = ledger.file(id)
    if file is None:
        raise InputError("no file with this id", where=param, got=repr(id), param=param, code="invalid_file")
    if file.purpose != purpose:
        raise InputError(
            "the file has another purpose", where=param, got=repr(file.purpose), allowed=repr(purpose),
            remedy=f'Upload it with purpose="{purpose}".', param=param, code="invalid_file",
        )  # fmt: skip
    return file


def _first_events(job: JobRow, local: models.LocalModel) -> list[EventRow]:
    said = [messages.created(job.id), messages.validating(job.training_file)]
    if job.validation_file:
        said.append(messages.validating(job.validation_file, "validation"))
    if local.vendor:
        said.append(messages.mapped(job.model, local.vendor, local.size, local.base))
    return [new_event(job.id, text) for text in said]
