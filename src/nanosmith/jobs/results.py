"""The result file of a job: one CSV line per step, in OpenAI's columns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from nanosmith.jobs.names import result_file_id
from nanosmith.store.blobs import open_blobs
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.naming import name_blob
from nanosmith.store.records import FileRow, JobRow

PURPOSE = "fine-tune-results"
FILE_NAME = "step_metrics.csv"
HEADER = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
FIGURES = ("train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy")


def as_csv(steps: Sequence[tuple[int, Mapping[str, float]]]) -> bytes:
    """Blank where nothing was measured."""
    lines = [HEADER]
    for step, values in steps:
        lines.append(",".join([str(step), *(f"{values[name]:.6g}" if name in values else "" for name in FIGURES)]))
    return ("\n".join(lines) + "\n").encode()


def store_results(ledger: Ledger, home: Home, job: JobRow, steps: Sequence[tuple[int, Mapping[str, float]]]) -> str:
    """Keep the figures as an uploaded file; returns its id."""
    blobs = open_blobs(home)
    blob = blobs.put([as_csv(steps)])
    row = FileRow(result_file_id(job), int(time.time()), blob.bytes, FILE_NAME, PURPOSE, blob.sha256)
    name_blob(ledger, blobs, blob, lambda: ledger.add_file(row))
    return row.id
