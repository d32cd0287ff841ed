"""One job's run, in this process."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nanosmith.core.errors import Cancelled, GateRefused
from nanosmith.jobs import run
from nanosmith.jobs.attempt import Stopped
from nanosmith.jobs.control import cancel, pause, resume
from nanosmith.jobs.names import model_name
from nanosmith.jobs.owner import owner_name
from nanosmith.jobs.submit import submit
from nanosmith.predict.open import open_predictor
from nanosmith.store.blobs import open_blobs
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import LeaseLost, Ledger, open_ledger
from nanosmith.store.records import FileRow, JobRow, ModelRow
from nanosmith.testing import FakeTuned, slow_tune, tiny_bundle, topic_rows, write_chat


def quick_tune(train: Any, **given: Any) -> Any:
    return slow_tune(train, step_s=0, **given)


def lines(*bad: tuple[int, str]) -> bytes:
    """Thirty good lines, some replaced (0-based)."""
    good = [
        json.dumps({"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": label}]})
        for text, label in topic_rows(30)
    ]
    for index, line in bad:
        good[index] = line
    return "\n".join(good).encode()


def finish(home: Home, job: JobRow, tune: Callable[..., Any] = quick_tune) -> JobRow:
    run.main(job.id, home, tune=tune)
    return read(home, job.id)


def read(home: Home, id: str) -> JobRow:
    """The row, seen from outside of the run."""
    with closing(open_ledger(home)) as ledger:
        row = ledger.job(id)
    assert row is not None
    return row


def test_success_from_files_to_model(home: Home, ledger: Ledger, upload: Any, create: Any, told: Any) -> None:
    """The whole story: events in order, resolved values, a model, a checkpoint, a result file, no leftovers."""
    job = create(suffix="shop", validation_file=upload(), seed=7)
    row = finish(home, job)
    name = f"ft:gpt-4.1-nano:local:shop:{job.id[-8:]}"
    assert (row.status, row.error, row.fine_tuned_model) == ("succeeded", None, name)
    assert ledger.open_work() == []
    assert row.hyperparameters == {"n_epochs": 4, "batch_size": 8, "learning_rate_multiplier": 1.0}
    assert (row.trained_tokens, row.estimated_finish, row.seed) == (400, None, 7)
    assert row.started_at is not None
    assert row.finished_at is not None

    wanted = [
        f"Created fine-tuning job: {job.id}", f"Validating training file: {job.training_file}",
        "Files validated, moving job to queued state", "Fine-tuning job started",
        "Step 1/4: training loss=1.00, validation loss=2.00", "Checkpoint created at step 2",
        "Step 4/4: training loss=0.25, validation loss=0.50", f"New fine-tuned model created: {name}",
        "The job has successfully completed",
    ]  # fmt: skip
    assert [message for message in told(job.id) if message in wanted] == wanted
    assert told(job.id)[-1] == wanted[-1]

    model = ledger.model(name)
    assert model is not None
    assert model.job_id == job.id
    assert open_predictor(home.bundles / model.bundle).predict(["refund"])[0].value == "refund"
    [checkpoint] = ledger.checkpoints(job.id)
    assert ledger.model(checkpoint.model) is not None

    [result] = [ledger.file(id) for id in row.result_files]
    assert result is not None
    assert (result.purpose, result.status) == ("fine-tune-results", "processed")
    content = open_blobs(home).path(result.sha256).read_text()
    assert content.splitlines()[1] == "1,1,,2,"
    assert result.bytes == len(content)
    assert not list(home.jobs.glob("*"))


def test_going_on_from_a_fine_tuned_model(home: Home, ledger: Ledger, upload: Any, create: Any) -> None:
    """A job whose model is a fine-tuned one gives the flow its name as the base; the files' answers are read in its
    form, and three examples of one new label are enough."""
    first = finish(home, create(suffix="shop"))
    seen: dict[str, Any] = {}

    def tune(train: Any, **given: Any) -> Any:
        seen.update(given, train=train)
        return quick_tune(train, **given)

    few = [{"text": f"close my account {i}", "label": "closing"} for i in range(3)]
    job = create(model=first.fine_tuned_model, training_file=upload("\n".join(map(json.dumps, few)).encode()),
                 nanosmith={"keep_examples": False})  # fmt: skip
    row = finish(home, job, tune)
    assert (row.status, row.error) == ("succeeded", None)
    assert row.fine_tuned_model == f"ft:gpt-4.1-nano:local::{job.id[-8:]}"
    assert (seen["settings"].base, seen["settings"].size) == (first.fine_tuned_model, "auto")
    assert not seen["settings"].keep_examples
    assert seen["train"].values == ["closing"] * 3
    assert seen["train"].task.labels == ("delivery", "login", "refund")


def test_flow_is_given_the_request(home: Home, create: Any) -> None:
    """Settings, name, seed and data reach the flow as asked."""
    seen: dict[str, Any] = {}

    def tune(train: Any, **given: Any) -> Any:
        seen.update(given, examples=len(train))
        return quick_tune(train, **given)

    job = create(model="nanosmith-pico", seed=11, nanosmith={"budget": "5m", "recipe": "static/1"})
    finish(home, job, tune)
    settings = seen["settings"]
    assert (settings.size, settings.budget_s, settings.recipe, settings.seed) == ("pico", 300.0, "static/1", 11)
    assert (settings.epochs, settings.batch_size) == (4, None)
    assert settings.name == f"ft:nanosmith-pico:local::{job.id[-8:]}"
    assert (seen["examples"], seen["test"], seen["home"]) == (30, None, home)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (lines((6, "{"), (19, '{"messages": []}')), "invalid_training_file", ["line 7:", "line 20:", "2 errors"]),
        (b"\n".join(lines().splitlines()[:9]), "invalid_n_examples", ["got 9", "10"]),
        (b"\xff\xfe\x00", "invalid_training_file", ["UTF-8"]),
        (b"", "invalid_training_file", ["empty"]),
    ],
)
def test_bad_training_file_fails_the_job(
    home: Home, ledger: Ledger, upload: Any, create: Any, content: bytes, code: str, words: list[str]
) -> None:
    """The error has OpenAI's code, every bad line, and no path of the server; the flow is never called."""
    row = finish(home, create(training_file=upload(content)), tune=pytest.fail)
    assert row.error is not None
    assert (row.status, row.error["code"], row.error["param"]) == ("failed", code, "training_file")
    assert all(word in row.error["message"] for word in words)
    assert str(home.root) not in row.error["message"]
    last = ledger.events(row.id)[0]
    assert (last.level, row.error["message"] in last.message) == ("error", True)
    assert (row.started_at, row.finished_at is not None) == (None, True)


def test_bad_validation_file_fails_the_job(home: Home, upload: Any, create: Any) -> None:
    """The validation file is checked too, and named as param."""
    row = finish(home, create(validation_file=upload(lines((2, "nonsense")))), tune=pytest.fail)
    assert row.error is not None
    assert (row.error["code"], row.error["param"]) == ("invalid_validation_file", "validation_file")


def test_file_deleted_meanwhile(home: Home, ledger: Ledger, create: Any) -> None:
    """A file that was deleted after the job was created fails it in words."""
    job = create()
    ledger.delete_file(job.training_file)
    row = finish(home, job, tune=pytest.fail)
    assert row.error is not None
    assert row.error["param"] == "training_file"
    assert "deleted" in row.error["message"]


def test_hyperparameters_of_the_kept_recipe(home: Home, create: Any) -> None:
    """What a recipe wrote into its manifest is shown, though the watch was told nothing; the rest stays as asked."""

    def tune(train: Any, *, settings: Any, home: Home, **_: Any) -> Any:
        home.bundles.mkdir()
        bundle = tiny_bundle(home.bundles / "b", name=settings.name)
        told = replace(bundle.manifest, settings={"n_epochs": 12, "width": 256})
        return FakeTuned(replace(bundle, manifest=told), None, settings.name, "static/1", 0)

    row = finish(home, create(), tune)
    assert row.hyperparameters == {"n_epochs": 12, "batch_size": "auto", "learning_rate_multiplier": "auto"}


def test_unexpected_error(home: Home, create: Any) -> None:
    """The row gets a sentence, the log the traceback."""

    def tune(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("division by zero\nsecond line")

    row = finish(home, create(), tune)
    assert row.error is not None
    assert (row.status, row.error["code"], row.error["param"]) == ("failed", "internal_error", None)
    assert "ZeroDivisionError: division by zero" in row.error["message"]
    assert "Traceback" not in row.error["message"]
    assert "Traceback" in (home.jobs / row.id / "log.txt").read_text()
    assert not (home.jobs / row.id / "work").exists()


def test_known_error_keeps_its_code(home: Home, create: Any) -> None:
    """An error of ours is shown as it is."""

    def tune(*_: Any, **__: Any) -> Any:
        raise GateRefused("the model is worse than its gate", got=0.5, allowed=0.9)

    row = finish(home, create(), tune)
    assert row.error == {
        "code": "gate_refused", "message": "the model is worse than its gate (got 0.5; allowed 0.9)", "param": None
    }  # fmt: skip


def test_missing_flow_fails_the_job(home: Home, create: Any) -> None:
    """A flow that cannot be imported ends the job, not the process."""
    job = create()
    run.main(job.id, home, tune="nanosmith.nowhere:tune")
    assert read(home, job.id).status == "failed"


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stopped])
def test_stopped_process_puts_the_job_back(
    home: Home, ledger: Ledger, create: Any, told: Any, error: type[BaseException]
) -> None:
    """Ctrl-C or SIGTERM: the job waits again and succeeds at the next run, with one model."""

    def tune(train: Any, **given: Any) -> Any:
        quick_tune(train, **given)
        raise error

    job = create()
    with pytest.raises(error):
        run.main(job.id, home, tune=tune)
    row = ledger.job(job.id)
    assert row is not None
    assert (row.status, row.started_at) == ("queued", None)
    assert [work.owner for work in ledger.open_work()] == [None]
    assert told(job.id)[-1] == "Job was interrupted and starts again"
    assert finish(home, job).status == "succeeded"
    assert len([model for model in ledger.models() if "ckpt" not in model.name]) == 1
    assert len(ledger.checkpoints(job.id)) == 1
    assert len(list(home.bundles.iterdir())) == 2


def test_stop_after_cancel_ends_the_job(home: Home, ledger: Ledger, create: Any) -> None:
    """SIGTERM to a process whose job was cancelled: cancelled, and no final model stays; checkpoints do."""

    def tune(train: Any, **given: Any) -> Any:
        quick_tune(train, **given)
        cancel(ledger, job.id)
        raise Stopped

    job = create()
    with pytest.raises(Stopped):
        run.main(job.id, home, tune=tune)
    row = ledger.job(job.id)
    assert row is not None
    assert (row.status, row.fine_tuned_model) == ("cancelled", None)
    assert [model.name.rpartition(":")[2] for model in ledger.models()] == ["ckpt-step-2"]
    assert len(list(home.bundles.iterdir())) == 1


def test_cancel_while_running(home: Home, ledger: Ledger, create: Any) -> None:
    """A flow that looks at should_stop ends within a second of the request."""
    job = create(hyperparameters={"n_epochs": 50})
    asked: list[float] = []

    def ask() -> None:
        cancel(ledger, job.id)
        asked.append(time.monotonic())

    def tune(train: Any, **given: Any) -> Any:
        threading.Timer(0.1, ask).start()
        return slow_tune(train, step_s=0.1, **given)

    row = finish(home, job, tune)
    assert row.status == "cancelled"
    assert time.monotonic() - asked[0] < 1.5
    assert not list(home.jobs.glob("*"))


def test_cancel_before_tuning(home: Home, ledger: Ledger, create: Any) -> None:
    """A job that was cancelled while its files were checked is not tuned."""
    job = create()
    ledger.update_job(job.id, status="queued")
    ledger.ask_to_stop(job.id, "cancel")
    assert finish(home, job, tune=pytest.fail).status == "cancelled"


def test_lost_job_is_left_alone(home: Home, ledger: Ledger, create: Any) -> None:
    """A process whose job was taken over by another one stops without a word, and can write nothing."""

    def tune(train: Any, *, watch: Any, **_: Any) -> Any:
        ledger.claim(job.id, "other:1", instead_of=owner_name())
        with pytest.raises(LeaseLost):
            watch.message("still here")
        until = time.monotonic() + 5
        while not watch.should_stop() and time.monotonic() < until:
            time.sleep(0.01)
        raise Cancelled("stopped on request")

    job = create()
    row = finish(home, job, tune)
    assert row.status == "running"
    assert [work.owner for work in ledger.open_work()] == ["other:1"]


def test_only_validate(home: Home, ledger: Ledger, create: Any, told: Any) -> None:
    """The files alone: the job is queued afterwards."""
    job = create()
    run.main(job.id, home, tune=pytest.fail, only_validate=True)
    row = read(home, job.id)
    assert row.status == "queued"
    assert [work.owner for work in ledger.open_work()] == [None]
    assert told(row.id)[-1] == "Files validated, moving job to queued state"


def test_second_process_does_nothing(home: Home, ledger: Ledger, create: Any) -> None:
    """A job that another process has is not touched."""
    job = create()
    ledger.update_job(job.id, status="queued")
    assert ledger.claim(job.id, "other:1") is not None
    assert finish(home, job, tune=pytest.fail).status == "queued"


def test_temporary_files_lie_in_the_data_folder(home: Home, create: Any) -> None:
    """Whatever a recipe writes to a temporary place is removed with the job's folder, also after an error."""
    seen: list[Path] = []

    def tune(*_: Any, **__: Any) -> Any:
        seen.append(Path(tempfile.mkdtemp()))
        raise GateRefused("no")

    usual = tempfile.gettempdir()
    job = create()
    finish(home, job, tune)
    assert seen[0].is_relative_to(home.jobs / job.id)
    assert not seen[0].exists()
    assert tempfile.gettempdir() == usual


def test_leftovers_of_an_earlier_attempt_are_removed(home: Home, ledger: Ledger, create: Any) -> None:
    """Models that an attempt sealed before it was killed, registered or not, are gone after the next one."""
    job = create()
    home.bundles.mkdir()
    final = tiny_bundle(home.bundles / "a", name=model_name(job))
    tiny_bundle(home.bundles / "b", name=f"{model_name(job)}:ckpt-step-1")
    tiny_bundle(home.bundles / "c", name="of somebody else")
    ledger.add_model(ModelRow(model_name(job), 1, "a", final.digest, "none", job_id=job.id))
    assert finish(home, job).status == "succeeded"
    assert {folder.name for folder in home.bundles.iterdir()} & {"a", "b", "c"} == {"c"}
    assert sorted(model.name for model in ledger.models()) == [model_name(job), f"{model_name(job)}:ckpt-step-2"]


def test_full_disk(tiny_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while tuning: failed in words, the working folder is gone, and the ledger still works."""

    def tune(*_: Any, **__: Any) -> Any:
        with (Path(tempfile.mkdtemp()) / "weights").open("wb") as file:
            while True:
                file.write(bytes(65_536))

    home = open_home(tiny_disk / "home")
    ledger = Ledger(home.ledger)
    blob = open_blobs(home).put([write_chat(tmp_path / "x.jsonl", topic_rows(30)).read_bytes()])
    ledger.add_file(FileRow("file-1", 1, blob.bytes, "x.jsonl", "fine-tune", blob.sha256))
    row = finish(home, submit(ledger, home, {"model": "nanosmith-pico", "training_file": "file-1"}), tune)
    ledger.close()
    assert row.error is not None
    assert (row.status, row.error["code"]) == ("failed", "insufficient_storage")
    assert "the disk is full" in row.error["message"]
    assert not (home.jobs / row.id / "work").exists()


def test_pause_and_resume(home: Home, ledger: Ledger, create: Any, told: Any) -> None:
    """A paused job has no work and keeps its training state; resumed, it is given the same state and succeeds."""
    states: list[Path] = []

    def paused(*_: Any, watch: Any, state: Path, **__: Any) -> Any:
        state.mkdir(parents=True)
        (state / "weights").write_bytes(b"half")
        states.append(state)
        pause(ledger, job.id)
        while not watch.should_stop():
            time.sleep(0.01)
        watch.check()

    def goes_on(train: Any, *, state: Path, **given: Any) -> Any:
        states.append(state)
        assert (state / "weights").read_bytes() == b"half"
        return quick_tune(train, state=state, **given)

    job = create()
    assert finish(home, job, paused).status == "paused"
    assert ledger.open_work() == []
    assert told(job.id)[-1] == "The job was paused"
    assert resume(ledger, job.id).status == "queued"
    assert finish(home, job, goes_on).status == "succeeded"
    assert states[0] == states[1]
    assert not list(home.jobs.glob("*"))
