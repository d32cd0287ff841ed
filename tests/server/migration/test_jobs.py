"""A vendor's jobs become jobs here."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.server.migration import exports
from tests.server.migration.exports import OLD_MODEL

from nanosmith.core.watch import Watch
from nanosmith.server.http.errors import ModelNotFound
from nanosmith.server.migration.plan import Item, Plan
from nanosmith.server.models.names import ALIAS, callable_model
from nanosmith.server.services import Services
from nanosmith.store.records import ModelRow
from nanosmith.testing import topic_rows, write_chat


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """A folder with a training and a validation file, named by their ids, and jobs."""

    def export(*jobs: dict[str, Any]) -> Path:
        folder = tmp_path / "export"
        folder.mkdir(exist_ok=True)
        write_chat(folder / "file-train1.jsonl", topic_rows(30))
        write_chat(folder / "file-valid1", topic_rows(33)[30:])
        write_chat(folder / "file-small", topic_rows(9))
        exports.save(folder / "jobs.json", exports.page(list(jobs)))
        return folder

    return export


def jobs_of(plan: Plan) -> list[Item]:
    return [item for item in plan.items if item.kind == "job"]


def test_job(plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path]) -> None:
    """Suffix, seed and metadata come along, the model's name is mapped, hyperparameters are chosen anew."""
    plan = plan_of(export(exports.job()))
    (item,) = jobs_of(plan)
    assert item.what == (
        "job ftjob-abc123 (gpt-4.1-nano-2025-04-14, n_epochs 3, batch_size 1, learning_rate_multiplier 1.8, "
        "suffix support)"
    )
    assert item.becomes == (
        "fine-tuning job of a local model (size nano, base minilm-l6) with file-train1.jsonl, validated on file-valid1"
    )
    plan.make(here, Watch())
    (row,) = here.ledger.jobs()
    assert (row.model, row.suffix, row.seed) == ("gpt-4.1-nano-2025-04-14", "support", 683058546)
    assert row.metadata == {"team": "help", "imported_from": "ftjob-abc123"}
    assert set(row.hyperparameters.values()) == {"auto"}
    assert here.ledger.work(row.id) is not None
    said = [event.message for event in here.ledger.events(row.id)]
    assert "Imported from the job ftjob-abc123 of another service" in said
    assert any("stands for a local model of size nano" in text for text in said)


def test_files_of_the_job(plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path]) -> None:
    """The job is given the imported files."""
    plan_of(export(exports.job())).make(here, Watch())
    (row,) = here.ledger.jobs()
    names = {file.id: file.filename for file in here.ledger.files()}
    assert (names[row.training_file], names[str(row.validation_file)]) == ("file-train1.jsonl", "file-valid1")


def test_once(plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path]) -> None:
    """Imported twice, or found twice in the export, it is one job."""
    folder = export(exports.job())
    exports.save(folder / "the-same.json", exports.job())
    plan_of(folder).make(here, Watch())
    again = plan_of(folder)
    (item,) = jobs_of(again)
    assert (item.state, item.made) == ("done", [here.ledger.jobs()[0].id])
    again.make(here, Watch())
    assert len(here.ledger.jobs()) == 1


def test_keep_hyperparameters(plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path]) -> None:
    """If asked, the vendor's hyperparameters are kept, without those that have no value."""
    hyperparameters = {"n_epochs": 3, "batch_size": None, "learning_rate_multiplier": 1.8}
    method = {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
    plan_of(export(exports.job(method=method)), keep_hyperparameters=True).make(here, Watch())
    assert here.ledger.jobs()[0].hyperparameters == {
        "n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 1.8,
    }  # fmt: skip


def test_suffix_from_the_old_name(plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path]) -> None:
    """Without a suffix of its own, the job takes the one in the old model's name."""
    plan_of(export(exports.job(user_provided_suffix=None))).make(here, Watch())
    assert here.ledger.jobs()[0].suffix == "support"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"method": {"type": "reinforcement"}}, "this training method is not available here (got 'reinforcement'"),
        ({"model": "o9-huge"}, "no model of this name can be fine-tuned (got 'o9-huge'"),
        ({"model": OLD_MODEL}, "no fine-tuned model of this name is here"),
        ({"training_file": "file-other"}, "Say so with --file file-other=FILE"),
        ({"validation_file": "file-other"}, "Say so with --file file-other=FILE"),
        ({"training_file": "file-small"}, "file-small has too few examples"),
        ({"training_file": 3}, "it is no fine-tuning job: Expected `str`, got `int`"),
        ({"id": None}, "it is no fine-tuning job"),
    ],
)
def test_blocked(
    plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path], changes: dict[str, Any], why: str
) -> None:
    """What could not be created is blocked, with the reason and the remedy, and is not made."""
    plan = plan_of(export(exports.job(**changes)))
    (item,) = jobs_of(plan)
    assert (item.state, item.becomes) == ("blocked", None)
    assert why in str(item.why)
    plan.make(here, Watch())
    assert here.ledger.jobs() == []


def test_bad_file_blocks_the_job(plan_of: Callable[..., Plan], export: Callable[..., Path]) -> None:
    """A job waits until its training file is put right."""
    folder = export(exports.job())
    (folder / "file-train1.jsonl").write_text('{"messages": []}\n')
    (item,) = jobs_of(plan_of(folder))
    assert item.why == "file-train1.jsonl cannot be used, as is said there"


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_jobs_that_did_not_succeed(plan_of: Callable[..., Plan], export: Callable[..., Path], status: str) -> None:
    """A job that failed or was cancelled stays behind."""
    (item,) = jobs_of(plan_of(export(exports.job(status=status, fine_tuned_model=None))))
    assert (item.state, item.why) == ("left", f"at the vendor it ended as {status}")


def test_small_differences(plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path]) -> None:
    """A seed that is too large, a full metadata and integrations do not stop a job."""
    full = {str(i): "x" for i in range(16)}
    job = exports.job(seed=2**40, metadata=full, integrations=[{"type": "wandb", "wandb": {}}])
    plan = plan_of(export(job))
    assert "integrations are left out" in jobs_of(plan)[0].notes
    plan.make(here, Watch())
    assert here.ledger.jobs()[0].metadata == full


def test_named_files(plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path], tmp_path: Path) -> None:
    """--file says which file an id means, also one that lies elsewhere, and wins over names."""
    mine = write_chat(tmp_path / "mine.jsonl", topic_rows(60))
    folder = export(exports.job(training_file="file-gone", validation_file=None))
    plan_of(folder, named={"file-gone": mine}).make(here, Watch())
    row = here.ledger.file(here.ledger.jobs()[0].training_file)
    assert row is not None
    assert row.filename == "mine.jsonl"


def test_listed_files(plan_of: Callable[..., Plan], tmp_path: Path) -> None:
    """The vendor's list tells the name of an id; of several files with that name, the one with its size is meant."""
    for name, count in (("old", 30), ("new", 60)):
        (tmp_path / name).mkdir()
        write_chat(tmp_path / name / "train.jsonl", topic_rows(count))
    job = exports.save(tmp_path / "job.json", exports.job(validation_file=None))
    exports.save(tmp_path / "files.json", [exports.file("file-train1", tmp_path / "new" / "train.jsonl")])
    (item,) = jobs_of(plan_of(tmp_path))
    assert "with new/train.jsonl" in str(item.becomes)
    exports.save(tmp_path / "files.json", [exports.file("file-train1", tmp_path / "new" / "train.jsonl", bytes=1)])
    (item,) = jobs_of(plan_of(tmp_path))
    assert item.why == (
        "file-train1 (train.jsonl at the vendor): several files have this name. Say so with --file file-train1=FILE."
    )
    assert job.exists()


def test_old_name_reaches_the_new_model(
    plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path]
) -> None:
    """Calls with the old name are refused in words until the job has made its model, then answered by that model."""
    plan_of(export(exports.job())).make(here, Watch())
    (row,) = here.ledger.jobs()
    with pytest.raises(ModelNotFound, match=f"has not succeeded.*{row.id}"):
        callable_model(here.ledger, OLD_MODEL)
    here.ledger.add_model(ModelRow("ft:new", int(time.time()), "bundle", "0" * 64, "none", job_id=row.id))
    here.ledger.update_job(row.id, status="succeeded", fine_tuned_model="ft:new", end=True)
    found, project = callable_model(here.ledger, OLD_MODEL)
    assert (found.name, project) == ("ft:new", "default")
    here.ledger.delete_model("ft:new")
    with pytest.raises(ModelNotFound, match="does not exist"):
        callable_model(here.ledger, OLD_MODEL)
    with pytest.raises(ModelNotFound, match="does not exist"):
        callable_model(here.ledger.of("other"), OLD_MODEL)


def test_only_names_of_fine_tuned_models(
    plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path]
) -> None:
    """A job cannot give its model the name of a base model."""
    plan_of(export(exports.job(fine_tuned_model="gpt-4.1-nano"))).make(here, Watch())
    assert len(here.ledger.jobs()) == 1
    assert here.ledger.count_documents(ALIAS) == 0


def test_a_file_that_trains_and_validates(
    plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path]
) -> None:
    """A file that one job trains on and another validates with is checked as one to train on."""
    jobs = [exports.job(), exports.job(id="ftjob-2", training_file="file-valid1", validation_file="file-train1")]
    folder = export(*jobs)
    write_chat(folder / "file-valid1", topic_rows(90)[30:])
    assert [item.state for item in jobs_of(plan_of(folder))] == ["ready", "ready"]


def test_old_name_means_the_newest_job(
    plan_of: Callable[..., Plan], here: Services, export: Callable[..., Path], tmp_path: Path
) -> None:
    """Imported with another file, the job is another one, and the old name reaches that."""
    folder = export(exports.job(validation_file=None))
    plan_of(folder).make(here, Watch())
    mine = write_chat(tmp_path / "mine.jsonl", topic_rows(60))
    plan_of(folder, named={"file-train1": mine}).make(here, Watch())
    newest, _ = here.ledger.jobs()
    alias = here.ledger.document(ALIAS, OLD_MODEL)
    assert alias is not None
    assert alias.parent == newest.id
