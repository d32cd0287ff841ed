"""Creating a job."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.jobs.request import CreateJob
from nanosmith.jobs.submit import submit
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger


def test_row_and_first_events(ledger: Ledger, home: Home, upload: Any, told: Any) -> None:
    """A new job is stored with what was asked, and says which local model its vendor's name stands for."""
    file, other = upload(), upload()
    request = {
        "model": "gpt-4.1-nano-2025-04-14", "training_file": file, "validation_file": other, "suffix": "my shop",
        "seed": 0, "metadata": {"team": "a"}, "hyperparameters": {"n_epochs": 3},
    }  # fmt: skip
    job = submit(ledger, home, request)
    stored = ledger.job(job.id)
    assert stored is not None
    assert job.id.startswith("ftjob-")
    assert (stored.status, stored.error, stored.result_files) == ("validating_files", None, [])
    assert [(work.id, work.owner) for work in ledger.free_work()] == [(job.id, None)]
    assert (stored.model, stored.suffix, stored.seed) == ("gpt-4.1-nano-2025-04-14", "my-shop", 0)
    assert stored.hyperparameters == {"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": "auto"}
    assert (stored.request, stored.metadata) == (request, {"team": "a"})
    messages = told(job.id)
    assert messages[:3] == [
        f"Created fine-tuning job: {job.id}",
        f"Validating training file: {file}",
        f"Validating validation file: {other}",
    ]
    assert "gpt-4.1-nano-2025-04-14" in messages[3]
    assert "size nano" in messages[3]


def test_struct_is_accepted(ledger: Ledger, home: Home, upload: Any, told: Any) -> None:
    """A request that was decoded already gives the same job; our own names need no mapping event."""
    job = submit(ledger, home, CreateJob(model="nanosmith-pico", training_file=upload()))
    assert job.request == {"model": "nanosmith-pico", "training_file": job.training_file}
    assert len(told(job.id)) == 2


def test_seed_is_drawn_and_stored(ledger: Ledger, home: Home, upload: Any) -> None:
    """Without a seed each job gets its own, kept in the row."""
    file = upload()
    seeds = {submit(ledger, home, {"model": "gpt-4.1-nano", "training_file": file}).seed for _ in range(3)}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("param", ["training_file", "validation_file"])
def test_wrong_files_are_refused(ledger: Ledger, home: Home, upload: Any, param: str) -> None:
    """An unknown file, or one of another purpose, is a 400 with the field as param, and no job is stored."""
    good, batch = upload(), upload(purpose="batch")
    for bad in ("file-nowhere", batch):
        with pytest.raises(InputError) as caught:
            submit(ledger, home, {"model": "gpt-4.1-nano", "training_file": good, param: bad})
        assert (caught.value.http_status, caught.value.param) == (400, param)
    assert ledger.jobs() == []


@pytest.mark.parametrize("wrong", [{"model": "gpt-5-nano"}, {"suffix": "::"}, {"nanosmith": {"recipe": "magic"}}])
def test_what_cannot_be_run_is_not_stored(ledger: Ledger, home: Home, upload: Any, wrong: dict[str, Any]) -> None:
    """Everything that can be known at once is refused at once."""
    with pytest.raises(InputError):
        submit(ledger, home, {"model": "gpt-4.1-nano", "training_file": upload()} | wrong)
    assert ledger.jobs() == []
