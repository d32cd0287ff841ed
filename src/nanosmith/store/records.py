"""Rows of the ledger as values. Times are integer Unix seconds."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

JobStatus: TypeAlias = Literal["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"]
Level: TypeAlias = Literal["info", "warn", "error"]
EventType: TypeAlias = Literal["message", "metrics"]
Stop: TypeAlias = Literal["cancel", "pause"]
IDEMPOTENCY = "idempotency"
"""The kind of documents that tell what a request made, so that sending it again makes nothing more."""
ENDED: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")


class FileRow(msgspec.Struct, frozen=True):
    id: str
    created_at: int
    bytes: int
    filename: str
    purpose: str
    sha256: str
    status: str = "processed"
    expires_at: int | None = None
    seq: int = 0


class JobRow(msgspec.Struct, frozen=True):
    """A fine-tuning job. `model` is the base as requested; `request` the request as received; `hyperparameters` what
    was asked, replaced by the resolved values once the job runs; `error` is {code, message, param} or None. Whether a
    process works on it is told by its Work."""

    id: str
    created_at: int
    model: str
    training_file: str
    request: dict[str, Any]
    seed: int
    hyperparameters: dict[str, Any]
    status: JobStatus = "validating_files"
    validation_file: str | None = None
    suffix: str | None = None
    metadata: dict[str, str] | None = None
    started_at: int | None = None
    finished_at: int | None = None
    estimated_finish: int | None = None
    fine_tuned_model: str | None = None
    trained_tokens: int | None = None
    result_files: list[str] = []
    error: dict[str, Any] | None = None
    seq: int = 0


class EventRow(msgspec.Struct, frozen=True):
    """An event of a job; `seq` is given by the ledger and grows by time."""

    id: str
    job_id: str
    created_at: int
    level: Level
    message: str
    type: EventType = "message"
    data: dict[str, Any] | None = None
    seq: int = 0


class CheckpointRow(msgspec.Struct, frozen=True):
    id: str
    job_id: str
    created_at: int
    step_number: int
    model: str
    metrics: dict[str, float]
    seq: int = 0


class ModelRow(msgspec.Struct, frozen=True):
    """A local model by its public name; `bundle` is the folder, relative to HOME/bundles unless absolute."""

    name: str
    created_at: int
    bundle: str
    digest: str
    base: str
    owned_by: str = "local"
    job_id: str | None = None
    seq: int = 0


class Document(msgspec.Struct, frozen=True):
    """An object of the API that is kept as the JSON that it is: a stored completion, a batch, an eval run, … .

    `kind` is OpenAI's name of the object, such as "chat.completion"; `parent` the id of what it belongs to; `model`,
    `status`, `metadata` and `expires_at` are beside `body` what lists are filtered by.
    """

    kind: str
    id: str
    created_at: int
    body: dict[str, Any]
    parent: str | None = None
    status: str | None = None
    model: str | None = None
    metadata: dict[str, str] | None = None
    expires_at: int | None = None
    project: str = ""
    seq: int = 0


class Work(msgspec.Struct, frozen=True):
    """Something that a worker has to do, of the object with the same id; it goes when that has ended.

    `owner` names the process that has it ("host:pid") until `expires_at` (float seconds, the database's clock);
    `token` grows with each claim of this id, so that what an earlier owner writes can be told from what this one writes
    (a fencing token). `stop` is what was asked of it.
    """

    id: str
    kind: str
    stop: Stop | None = None
    owner: str | None = None
    token: int = 0
    expires_at: float | None = None
    project: str = ""
    seq: int = 0


class Lease(msgspec.Struct, frozen=True):
    """One process's hold of a Work, as of its claim."""

    id: str
    token: int
    project: str


class ProjectRow(msgspec.Struct, frozen=True):
    """A tenant. `limits`: see nanosmith.core.limits.ProjectLimits."""

    id: str
    name: str
    created_at: int
    limits: dict[str, int] = {}
    seq: int = 0


class KeyRow(msgspec.Struct, frozen=True):
    """An API key of a project; only its SHA-256 is kept. `scopes`: which routes it opens; `limits` narrow the
    project's."""

    id: str
    project: str
    name: str
    sha256: str
    created_at: int
    scopes: tuple[str, ...] = ("all",)
    limits: dict[str, int] = {}
    expires_at: int | None = None
    seq: int = 0
