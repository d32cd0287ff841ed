"""What a run tells becomes rows."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nanosmith.jobs.watch import LedgerWatch
from nanosmith.store.ledger import LeaseLost, Ledger
from nanosmith.store.records import JobRow


@pytest.fixture
def job(ledger: Ledger, create: Any) -> JobRow:
    """A running job of this process."""
    row = create()
    running = ledger.update_job(row.id, status="running")
    assert running is not None
    return running


@pytest.fixture
def watch(ledger: Ledger, job: JobRow) -> LedgerWatch:
    return LedgerWatch(ledger, job, should_stop=lambda: False)


def metrics(ledger: Ledger, job: JobRow) -> list[dict[str, Any]]:
    found = reversed(ledger.events(job.id, limit=10_000))
    return [event.data or {} for event in found if event.type == "metrics"]


@pytest.mark.parametrize(("total", "events"), [(1, 1), (60, 60), (250, 125), (1_000, 100)])
def test_metrics_are_throttled(ledger: Ledger, job: JobRow, watch: LedgerWatch, total: int, events: int) -> None:
    """Every step up to 100, else about every 1 %; the last one always; the result file gets all."""
    for step in range(1, total + 1):
        watch.metrics(step, total, {"train_loss": 1.0})
    told = metrics(ledger, job)
    assert len(told) == events
    assert told[-1] == {"step": total, "total_steps": total, "train_loss": 1.0}
    assert len(watch.steps) == total


def test_message_of_a_step(ledger: Ledger, job: JobRow, watch: LedgerWatch, told: Any) -> None:
    """The words that users match on; no loss, no word about it."""
    watch.metrics(10, 100, {"train_loss": 1.234})
    watch.metrics(11, 100, {"train_loss": 1.234, "valid_loss": 2.0})
    watch.metrics(12, 100, {})
    assert told(job.id)[-3:] == [
        "Step 10/100: training loss=1.23",
        "Step 11/100: training loss=1.23, validation loss=2.00",
        "Step 12/100",
    ]


def test_figures_that_json_cannot_hold(ledger: Ledger, job: JobRow, watch: LedgerWatch) -> None:
    """NaN and infinity are left out."""
    watch.metrics(1, 1, {"train_loss": float("nan"), "valid_loss": float("inf"), "train_mean_token_accuracy": 1.0})
    assert metrics(ledger, job) == [{"step": 1, "total_steps": 1, "train_mean_token_accuracy": 1.0}]


def test_resolved_values_replace_auto(ledger: Ledger, job: JobRow, watch: LedgerWatch) -> None:
    """The row shows what "auto" stood for; settings that OpenAI does not know go to an event only."""
    watch.resolved({"n_epochs": 3, "batch_size": 16, "learning_rate_multiplier": 0.5, "width": 256, "path": object})
    row = ledger.job(job.id)
    assert row is not None
    assert row.hyperparameters == {"n_epochs": 3, "batch_size": 16, "learning_rate_multiplier": 0.5}
    told = ledger.events(job.id)[0]
    assert "width=256" in told.message
    assert told.data is not None
    assert told.data["width"] == 256


def test_second_run_starts_the_figures_anew(watch: LedgerWatch) -> None:
    """When steps begin again at 1, the result file holds the last run alone."""
    for step in (1, 2, 3, 1, 2):
        watch.metrics(step, 3, {"train_loss": 1.0})
    assert [step for step, _ in watch.steps] == [1, 2]


def test_held_out_figures_join_their_step(watch: LedgerWatch) -> None:
    """Figures on held-out data, told after the step, stand in the row of that step; no row is lost."""
    watch.metrics(1, 2, {"train_loss": 2.0})
    watch.metrics(2, 2, {"train_loss": 1.0})
    watch.metrics(2, 2, {"valid_loss": 3.0})
    assert watch.steps == [(1, {"train_loss": 2.0}), (2, {"train_loss": 1.0, "valid_loss": 3.0})]


def test_estimate_of_the_end(ledger: Ledger, job: JobRow, watch: LedgerWatch) -> None:
    """From the second step on the row says when the last one is expected."""
    watch.metrics(1, 1000, {})
    time.sleep(0.05)
    watch.metrics(2, 1000, {})
    watch.metrics(10, 1000, {})
    row = ledger.job(job.id)
    assert row is not None
    assert row.estimated_finish is not None
    assert 0 < row.estimated_finish - time.time() < 120


def test_row_of_another_process_is_left_alone(ledger: Ledger, job: JobRow) -> None:
    """A process that lost its job writes nothing into it."""
    lease = ledger.claim(job.id, "me:1")
    assert lease is not None
    lost = LedgerWatch(ledger.under(lease), job, should_stop=lambda: False)
    ledger.claim(job.id, "other:1", instead_of="me:1")
    with pytest.raises(LeaseLost):
        lost.resolved({"n_epochs": 9})
    row = ledger.job(job.id)
    assert row is not None
    assert row.hyperparameters["n_epochs"] != 9


def test_checkpoint_row_and_event(ledger: Ledger, job: JobRow, watch: LedgerWatch, told: Any) -> None:
    """A checkpoint is listed with its figures and announced."""
    watch.checkpoint(5, {"train_loss": 0.5}, "ft:x:ckpt-step-5")
    [row] = ledger.checkpoints(job.id)
    assert row.id.startswith("ftckpt_")
    assert (row.step_number, row.model, row.metrics) == (5, "ft:x:ckpt-step-5", {"step": 5.0, "train_loss": 0.5})
    assert told(job.id)[-1] == "Checkpoint created at step 5"


def test_checkpoint_is_announced_once(ledger: Ledger, job: JobRow, watch: LedgerWatch, told: Any) -> None:
    """A run that goes on after an interruption tells its checkpoints again."""
    for _ in range(2):
        watch.checkpoint(5, {"train_loss": 0.5}, "ft:x:ckpt-step-5")
    assert len(ledger.checkpoints(job.id)) == 1
    assert told(job.id).count("Checkpoint created at step 5") == 1


def test_figures_of_earlier_attempts_stay(ledger: Ledger, job: JobRow, watch: LedgerWatch) -> None:
    """The result file of a run that was interrupted has all its steps; the pace is that of this attempt alone."""
    watch.resumed([(1, {"train_loss": 3.0}), (2, {"train_loss": 2.0}), (2, {"valid_loss": 4.0})])
    watch.metrics(10, 1000, {"train_loss": 1.0})
    assert [step for step, _ in watch.steps] == [1, 2, 10]
    assert watch.steps[1] == (2, {"train_loss": 2.0, "valid_loss": 4.0})
    row = ledger.job(job.id)
    assert row is not None
    assert row.estimated_finish is not None
    assert row.estimated_finish - time.time() < 120
