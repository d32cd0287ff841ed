"""Shared by the tests of jobs: a ledger, uploads, jobs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nanosmith.jobs.submit import submit
from nanosmith.store.blobs import open_blobs
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ENDED, FileRow, JobRow
from nanosmith.testing import topic_rows, write_chat

Upload = Callable[..., str]
Create = Callable[..., JobRow]


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = Ledger(home.ledger)
    yield opened
    opened.close()


@pytest.fixture
def upload(home: Home, ledger: Ledger, tmp_path: Path) -> Upload:
    """Upload bytes (30 easy chat examples) and give the file's id."""
    numbers = itertools.count(1)

    def upload(content: bytes | None = None, *, purpose: str = "fine-tune", filename: str = "my.jsonl") -> str:
        if content is None:
            content = write_chat(tmp_path / "upload.jsonl", topic_rows(30)).read_bytes()
        blob = open_blobs(home).put([content])
        row = FileRow(f"file-{next(numbers)}", int(time.time()), blob.bytes, filename, purpose, blob.sha256)
        ledger.add_file(row)
        return row.id

    return upload


@pytest.fixture
def create(home: Home, ledger: Ledger, upload: Upload) -> Create:
    """Create a job over 30 easy examples."""

    def create(**request: Any) -> JobRow:
        given = {"model": "gpt-4.1-nano", "hyperparameters": {"n_epochs": 4}} | request
        return submit(ledger, home, given if "training_file" in given else given | {"training_file": upload()})

    return create


@pytest.fixture
def told(ledger: Ledger) -> Callable[[str], list[str]]:
    """The messages of a job's events, oldest first."""
    return lambda job_id: [event.message for event in reversed(ledger.events(job_id, limit=1000))]


@pytest.fixture
def wait_for(ledger: Ledger) -> Callable[..., JobRow]:
    """Wait until a job is in one of these states (any end), and give its row."""

    def wait_for(job_id: str, *states: str, within_s: float = 60) -> JobRow:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            row = ledger.job(job_id)
            assert row is not None
            if row.status in (states or ENDED):
                return row
            time.sleep(0.02)
        raise AssertionError(f"still {row.status} after {within_s} s")

    return wait_for
