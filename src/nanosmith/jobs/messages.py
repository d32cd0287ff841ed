"""The messages of a job's events. Programs look for these words: they follow OpenAI's and do not change."""

from __future__ import annotations

from collections.abc import Mapping

VALIDATED = "Files validated, moving job to queued state"
STARTED = "Fine-tuning job started"
COMPLETED = "The job has successfully completed"
INTERRUPTED = "Job was interrupted and starts again"
CANCELLED = "The job was cancelled"
PAUSED = "The job was paused"
RESUMED = "The job was resumed"


def created(job_id: str) -> str:
    return f"Created fine-tuning job: {job_id}"


def validating(file_id: str, kind: str = "training") -> str:
    return f"Validating {kind} file: {file_id}"


def mapped(model: str, vendor: str, size: str, base: str) -> str:
    return f"{model} is a model of {vendor}; here it stands for a local model of size {size} (base {base})"


def imported(job_id: str) -> str:
    return f"Imported from the job {job_id} of another service"


def step(number: int, total: int, values: Mapping[str, float]) -> str:
    losses = {"training": values.get("train_loss"), "validation": values.get("valid_loss")}
    told = ", ".join(f"{name} loss={value:.2f}" for name, value in losses.items() if value is not None)
    return f"Step {number}/{total}: {told}" if told else f"Step {number}/{total}"


def checkpoint(number: int) -> str:
    return f"Checkpoint created at step {number}"


def model_created(name: str) -> str:
    return f"New fine-tuned model created: {name}"


def failed(reason: str) -> str:
    return f"The job failed: {reason}"
