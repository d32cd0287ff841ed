"""Rows of the ledger as values. Times are integer Unix seconds."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

JobStatus: TypeAlias = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
Level: TypeAlias = Literal["info", "warn", "error"]
EventType: TypeAlias = Literal["message", "metrics"]
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
    was asked, replaced by the resolved values once the job runs; `error` is {code, message, param} or None."""

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
    cancel_requested: bool = False
    pid: int | None = None
    heartbeat_at: int | None = None
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
