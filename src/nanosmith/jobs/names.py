"""Names that follow from a job's id, so that an attempt that is repeated after a crash cannot leave a second model."""

from __future__ import annotations

import re

from nanosmith.store.records import JobRow

ORGANIZATION = "local"


def model_name(job: JobRow) -> str:
    """`ft:{base}:{organization}:{suffix or empty}:{8 characters}`, as OpenAI writes it; the base of a model that goes
    on from a fine-tuned one is that one's."""
    tuned_from = re.match(r"ft:(.+?):", job.model)
    base = tuned_from[1] if tuned_from else job.model
    return f"ft:{base}:{ORGANIZATION}:{job.suffix or ''}:{_tail(job)}"


def is_checkpoint_of(job: JobRow, name: str) -> bool:
    return name.startswith(f"{model_name(job)}:ckpt-step-")


def result_file_id(job: JobRow) -> str:
    return f"file-{job.id.removeprefix('ftjob-')}"


def _tail(job: JobRow) -> str:
    """The last 8 of the 24 random characters of the id: 47 bits."""
    return job.id[-8:]
