"""/v1/fine_tuning/jobs: jobs, their events and checkpoints. What a job may be is checked by `nanosmith.jobs`."""

from __future__ import annotations

import re
import time
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError, NotFound
from nanosmith.jobs.control import cancel as cancel_job
from nanosmith.jobs.names import ORGANIZATION
from nanosmith.jobs.submit import submit
from nanosmith.server.pages import limit_of, page_response
from nanosmith.server.services import Services, services
from nanosmith.server.wire import json_response, read_json
from nanosmith.store.records import CheckpointRow, EventRow, JobRow

MOST = 1000  # of one page
RECENT = 100  # jobs that a repeated request is compared with
METADATA_KEY = re.compile(r"metadata\[(.+)\]")
RETRY_COUNT = "x-stainless-retry-count"
RETRIED_WITHIN_S = 600
MAX_KEYS = 1000  # Idempotency-Keys that are remembered
HYPERPARAMETERS = ("n_epochs", "batch_size", "learning_rate_multiplier")


async def create(request: Request) -> Response:
    content = await read_json(request)
    is_retry = request.headers.get(RETRY_COUNT, "0") not in ("", "0")
    key = request.headers.get("idempotency-key")
    row = await run_in_threadpool(_create, services(request), content, is_retry, key)
    return json_response(job_object(row))


def list_jobs(request: Request) -> Response:
    query, ledger = request.query_params, services(request).ledger
    limit = limit_of(query, default=20, most=MOST)
    without = query.get("metadata") == "null"
    wanted = _metadata(query)
    return page_response(
        lambda: ledger.jobs(metadata=wanted, without_metadata=without, after=query.get("after"), limit=limit),
        job_object,
    )


def retrieve(request: Request) -> Response:
    return json_response(job_object(_row(request)))


def cancel(request: Request) -> Response:
    row = cancel_job(services(request).ledger, _row(request).id)
    services(request).wake()
    return json_response(job_object(row))


def list_events(request: Request) -> Response:
    job, query, ledger = _row(request), request.query_params, services(request).ledger
    limit = limit_of(query, default=20, most=MOST)
    return page_response(lambda: ledger.events(job.id, after=query.get("after"), limit=limit), event_object)


def list_checkpoints(request: Request) -> Response:
    job, query, ledger = _row(request), request.query_params, services(request).ledger
    limit = limit_of(query, default=10, most=MOST)
    return page_response(lambda: ledger.checkpoints(job.id, after=query.get("after"), limit=limit), checkpoint_object)


def job_object(row: JobRow) -> dict[str, Any]:
    hyperparameters = {name: row.hyperparameters[name] for name in HYPERPARAMETERS if name in row.hyperparameters}
    return {
        "id": row.id, "object": "fine_tuning.job", "created_at": row.created_at, "finished_at": row.finished_at,
        "model": row.model, "fine_tuned_model": row.fine_tuned_model, "organization_id": ORGANIZATION,
        "status": row.status, "training_file": row.training_file, "validation_file": row.validation_file,
        "result_files": row.result_files, "trained_tokens": row.trained_tokens, "error": row.error or None,
        "hyperparameters": hyperparameters, "seed": row.seed, "estimated_finish": row.estimated_finish,
        "integrations": [], "metadata": row.metadata, "user_provided_suffix": row.suffix,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
    }  # fmt: skip


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


def _create(home: Services, content: dict[str, Any], is_retry: bool, key: str | None) -> JobRow:
    """A new job; or, when a client repeats a request because it saw no answer, the job that it made before."""
    with home.job_creation:
        job = _made_before(home, content, key) if is_retry or key else None
        if job is None:
            job = submit(home.ledger, home.home, content)
        if key:
            home.job_keys[key] = job.id
            while len(home.job_keys) > MAX_KEYS:
                home.job_keys.popitem(last=False)
    home.wake()
    return job


def _made_before(home: Services, content: dict[str, Any], key: str | None) -> JobRow | None:
    """By its Idempotency-Key, as far as the server remembers it; without one, by an equal request a short time ago.

    Raises InputError when the key came with another request before.
    """
    if key is not None:
        made = home.ledger.job(home.job_keys.get(key, ""))
        if made is not None and made.request != content:
            raise InputError("this Idempotency-Key came with another request before", got=repr(key[:80]))
        return made
    since = time.time() - RETRIED_WITHIN_S
    recent = home.ledger.jobs(limit=RECENT)
    return next((job for job in recent if job.created_at >= since and job.request == content), None)


def _metadata(query: QueryParams) -> dict[str, str]:
    found = ((METADATA_KEY.fullmatch(key), value) for key, value in query.multi_items())
    return {match[1]: value for match, value in found if match}


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
    Route("/fine_tuning/jobs/{id}/events", list_events, methods=["GET"]),
    Route("/fine_tuning/jobs/{id}/checkpoints", list_checkpoints, methods=["GET"]),
]
