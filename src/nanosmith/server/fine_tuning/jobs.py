"""/v1/fine_tuning/jobs: jobs, their events and checkpoints. What a job may be is checked by `nanosmith.jobs`."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import NotFound
from nanosmith.jobs.control import cancel as cancel_job
from nanosmith.jobs.control import pause as pause_job
from nanosmith.jobs.control import resume as resume_job
from nanosmith.jobs.names import ORGANIZATION
from nanosmith.jobs.submit import submit
from nanosmith.server.http.idempotency import Once, once
from nanosmith.server.http.pages import limit_of, metadata_of, page_response
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.services import Services, services
from nanosmith.store.ledger import new_id
from nanosmith.store.records import CheckpointRow, EventRow, JobRow

MOST = 1000  # of one page
STRICT = "x-nanosmith-strict"
HYPERPARAMETERS = ("n_epochs", "batch_size", "learning_rate_multiplier")
OF_METHOD = {"dpo": (*HYPERPARAMETERS, "beta")}


async def create(request: Request) -> Response:
    content = await read_json(request)
    row = await run_in_threadpool(_create, services(request), content, once(request, content))
    return job_response(request, row)


def list_jobs(request: Request) -> Response:
    query, ledger = request.query_params, services(request).ledger
    limit = limit_of(query, default=20, most=MOST)
    without = query.get("metadata") == "null"
    wanted = metadata_of(query)
    return page_response(
        lambda: ledger.jobs(metadata=wanted, without_metadata=without, after=query.get("after"), limit=limit),
        partial(job_object, strict=is_strict(request)),
    )


def retrieve(request: Request) -> Response:
    return job_response(request, _row(request))


def cancel(request: Request) -> Response:
    row = cancel_job(services(request).ledger, _row(request).id)
    services(request).wake()
    return job_response(request, row)


def pause(request: Request) -> Response:
    row = pause_job(services(request).ledger, _row(request).id)
    services(request).wake()
    return job_response(request, row)


def resume(request: Request) -> Response:
    row = resume_job(services(request).ledger, _row(request).id)
    services(request).wake()
    return job_response(request, row)


def list_events(request: Request) -> Response:
    job, query, ledger = _row(request), request.query_params, services(request).ledger
    limit = limit_of(query, default=20, most=MOST)
    return page_response(lambda: ledger.events(job.id, after=query.get("after"), limit=limit), event_object)


def list_checkpoints(request: Request) -> Response:
    job, query, ledger = _row(request), request.query_params, services(request).ledger
    limit = limit_of(query, default=10, most=MOST)
    return page_response(lambda: ledger.checkpoints(job.id, after=query.get("after"), limit=limit), checkpoint_object)


def job_response(request: Request, row: JobRow) -> Response:
    return json_response(job_object(row, strict=is_strict(request)))


def is_strict(request: Request) -> bool:
    """Whether the client refuses a status that OpenAI's types do not have, though its reference does ("paused")."""
    return request.headers.get(STRICT, "") == "true"


def job_object(row: JobRow, *, strict: bool = False) -> dict[str, Any]:
    """With `strict`, a paused job is shown as queued, and its true status beside it."""
    if strict and row.status == "paused":
        return job_object(msgspec.structs.replace(row, status="queued")) | {"nanosmith": {"status": "paused"}}
    hyperparameters = {name: row.hyperparameters[name] for name in HYPERPARAMETERS if name in row.hyperparameters}
    return {
        "id": row.id, "object": "fine_tuning.job", "created_at": row.created_at, "finished_at": row.finished_at,
        "model": row.model, "fine_tuned_model": row.fine_tuned_model, "organization_id": ORGANIZATION,
        "status": row.status, "training_file": row.training_file, "validation_file": row.validation_file,
        "result_files": row.result_files, "trained_tokens": row.trained_tokens, "error": row.error or None,
        "hyperparameters": hyperparameters, "seed": row.seed, "estimated_finish": row.estimated_finish,
        "integrations": [], "metadata": row.metadata, "user_provided_suffix": row.suffix,
        "method": _method(row),
    }  # fmt: skip


def _method(row: JobRow) -> dict[str, Any]:
    asked = row.request.get("method")
    type = "dpo" if isinstance(asked, dict) and asked.get("type") == "dpo" else "supervised"
    names = OF_METHOD.get(type, HYPERPARAMETERS)
    known = {name: row.hyperparameters[name] for name in names if name in row.hyperparameters}
    return {"type": type, type: {"hyperparameters": known}}


def event_object(row: EventRow) -> dict[str, Any]:
    return {
        "id": row.id, "object": "fine_tuning.job.event", "created_at": row.created_at, "level": row.level,
        "message": row.message, "type": row.type, "data": row.data,
    }  # fmt: skip


def checkpoint_object(row: CheckpointRow) -> dict[str, Any]:
    return {
        "id": row.id, "object": "fine_tuning.job.checkpoint", "created_at": row.created_at,
        "fine_tuned_model_checkpoint": row.model, "fine_tuning_job_id": row.job_id,
        "step_number": row.step_number, "metrics": {"step": row.step_number} | row.metrics,
    }  # fmt: skip


def _create(home: Services, content: dict[str, Any], asked: Once) -> JobRow:
    """A new job; or, when a client repeats a request because it saw no answer, the job that it made before."""
    with home.creation:
        job = asked.earlier(home.ledger, home.ledger.job)
        if job is None:
            id = new_id("ftjob-")
            job = submit(home.ledger, home.home, content, id=id, also=[asked.record(id)])
    home.wake()
    return job


def _row(request: Request) -> JobRow:
    id = request.path_params["id"]
    row = services(request).ledger.job(id)
    if row is None:
        raise NotFound("no such fine-tuning job", got=repr(id[:80]), param="fine_tuning_job_id")
    return row


routes = [
    Route("/fine_tuning/jobs", create, methods=["POST"]),
    Route("/fine_tuning/jobs", list_jobs, methods=["GET"]),
    Route("/fine_tuning/jobs/{id}", retrieve, methods=["GET"]),
    Route("/fine_tuning/jobs/{id}/cancel", cancel, methods=["POST"]),
    Route("/fine_tuning/jobs/{id}/pause", pause, methods=["POST"]),
    Route("/fine_tuning/jobs/{id}/resume", resume, methods=["POST"]),
    Route("/fine_tuning/jobs/{id}/events", list_events, methods=["GET"]),
    Route("/fine_tuning/jobs/{id}/checkpoints", list_checkpoints, methods=["GET"]),
]
