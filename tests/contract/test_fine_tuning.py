"""client.fine_tuning: jobs that run to their end, their events and checkpoints, permissions and graders."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.contract.conftest import STRICT, refused, until

RESULTS = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
CHECK = {
    "type": "string_check", "name": "check", "input": "{{sample.output_text}}", "reference": "{{item.label}}",
    "operation": "eq",
}  # fmt: skip
NEAR = {
    "type": "text_similarity", "name": "near", "input": "{{sample.output_text}}", "reference": "{{item.label}}",
    "evaluation_metric": "fuzzy_match",
}  # fmt: skip
ASK = [{"role": "user", "content": "{{sample.output_text}}"}]
SCORE = {"type": "score_model", "name": "score", "model": "tiny", "input": ASK}
LABEL = {
    "type": "label_model", "name": "label", "model": "tiny", "input": ASK, "labels": ["refund", "login", "delivery"],
    "passing_labels": ["refund"],
}  # fmt: skip
MULTI = {"type": "multi", "name": "both", "graders": {"a": CHECK, "b": NEAR}, "calculate_output": "(a + b) / 2"}
PYTHON = {"type": "python", "name": "code", "source": "def grade(sample, item):\n    return 1.0\n"}


def create(client: OpenAI, file_id: str, **options: Any) -> Any:
    return client.fine_tuning.jobs.create(**{"model": "nanosmith-nano", "training_file": file_id} | options)


def test_job(client: OpenAI, tuned: Any) -> None:
    """A job that has succeeded names its model and results, and what "auto" came to."""
    assert (tuned.object, tuned.error, tuned.seed, tuned.metadata) == (
        "fine_tuning.job", None, 7, {"made": "by hand"},
    )  # fmt: skip
    assert tuned.fine_tuned_model.startswith("ft:")
    assert ":contract:" in tuned.fine_tuned_model
    assert tuned.trained_tokens > 0
    assert tuned.finished_at >= tuned.created_at
    for shown in (tuned.hyperparameters, tuned.method.supervised.hyperparameters):
        assert (shown.n_epochs, shown.batch_size, shown.learning_rate_multiplier) == (4, 8, 1.0)


def test_job_result_file(client: OpenAI, tuned: Any) -> None:
    """The result file is a CSV with one line per step."""
    (id,) = tuned.result_files
    assert client.files.retrieve(id).purpose == "fine-tune-results"
    lines = client.files.content(id).text.splitlines()
    assert lines[0] == RESULTS
    assert len(lines) == 5


def test_job_model(client: OpenAI, tuned: Any) -> None:
    """The model answers, and so does its checkpoint; both may be listed."""
    (checkpoint,) = client.fine_tuning.jobs.checkpoints.list(tuned.id)
    asked: Any = [{"role": "user", "content": "refund"}]
    for name in (tuned.fine_tuned_model, checkpoint.fine_tuned_model_checkpoint):
        done = client.chat.completions.create(model=name, messages=asked)
        assert (done.model, done.choices[0].message.content) == (name, "refund")
        assert client.models.retrieve(name).id == name


def test_jobs_create_refused(client: OpenAI, training_file: str) -> None:
    """Unknown files and models, wrong values, and methods and integrations that do not exist here are 400s."""
    for options, param in (
        ({"training_file": "file-none"}, "training_file"),
        ({"validation_file": "file-none"}, "validation_file"),
        ({"model": "unheard-of"}, "model"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"hyperparameters": {"n_epochs": 0}}, None),
        ({"method": {"type": "reinforcement", "reinforcement": {"grader": CHECK}}}, None),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, None),
    ):
        with refused(param=param):
            create(client, training_file, **options)


def test_jobs_retrieve(client: OpenAI, tuned: Any) -> None:
    """The same job again; another id is a 404."""
    assert client.fine_tuning.jobs.retrieve(tuned.id) == tuned
    with refused(openai.NotFoundError):
        client.fine_tuning.jobs.retrieve("ftjob-none")


def test_jobs_list(client: OpenAI, tuned: Any) -> None:
    """Jobs, and those with some metadata; a wrong limit is a 400."""
    assert tuned in list(client.fine_tuning.jobs.list(limit=1))
    assert [job.id for job in client.fine_tuning.jobs.list(metadata={"made": "by hand"})] == [tuned.id]
    with refused(param="limit"):
        client.fine_tuning.jobs.list(limit=0)


def test_jobs_list_events(client: OpenAI, tuned: Any) -> None:
    """Messages and metrics, newest first, in pages; an unknown job is a 404."""
    events = list(client.fine_tuning.jobs.list_events(tuned.id, limit=2))
    assert f"Created fine-tuning job: {tuned.id}" in [event.message for event in events]
    assert f"New fine-tuned model created: {tuned.fine_tuned_model}" in [event.message for event in events]
    steps = [event.data["step"] for event in events if event.type == "metrics"]  # type: ignore[index]
    assert steps == [4, 3, 2, 1]
    with refused(openai.NotFoundError):
        client.fine_tuning.jobs.list_events("ftjob-none")


def test_jobs_checkpoints(client: OpenAI, tuned: Any) -> None:
    """The checkpoint has its step and metrics; an unknown job is a 404."""
    (checkpoint,) = client.fine_tuning.jobs.checkpoints.list(tuned.id)
    assert (checkpoint.step_number, checkpoint.metrics.train_loss) == (2, 0.5)
    assert checkpoint.fine_tuned_model_checkpoint == f"{tuned.fine_tuned_model}:ckpt-step-2"
    with refused(openai.NotFoundError):
        client.fine_tuning.jobs.checkpoints.list("ftjob-none")


def test_jobs_pause_resume_cancel(client: OpenAI, loose: OpenAI, training_file: str) -> None:
    """A job can be paused, resumed and cancelled, each in its time."""
    job, calls = create(client, training_file), client.fine_tuning.jobs
    if hasattr(calls, "pause"):
        paused = calls.pause(job.id, extra_headers=STRICT)
        assert paused.nanosmith == {"status": "paused"}  # type: ignore[attr-defined]
        # Loose: OpenAI's reference has this status, its types have not.
        assert loose.fine_tuning.jobs.retrieve(job.id).status == "paused"
        with pytest.raises(openai.APIResponseValidationError):
            calls.retrieve(job.id)
        with refused():
            calls.pause(job.id)
        assert calls.resume(job.id).status == "queued"
        with refused(openai.NotFoundError):
            calls.resume("ftjob-none")
    assert calls.cancel(job.id).status == "cancelled"
    with refused():
        calls.cancel(job.id)


def test_a_job_that_fails(client: OpenAI) -> None:
    """The job has an error that names the file."""
    file = client.files.create(file=("bad.jsonl", b'{"messages": []}\n' * 10), purpose="fine-tune")
    job = create(client, file.id)
    assert job.status == "validating_files"
    failed = until(lambda: client.fine_tuning.jobs.retrieve(job.id), "failed")
    assert (failed.error.code, failed.error.param) == ("invalid_training_file", "training_file")
    assert failed.fine_tuned_model is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_permissions(client: OpenAI, tuned: Any) -> None:
    """A model is shared with a project, by both names of the list call, and taken back."""
    calls, name = client.fine_tuning.checkpoints.permissions, tuned.fine_tuned_model
    (made,) = calls.create(name, project_ids=["default"])
    assert (made.object, made.project_id) == ("checkpoint.permission", "default")
    assert [one.id for one in calls.retrieve(name, project_id="default", limit=1).data] == [made.id]
    if hasattr(calls, "list"):
        assert [one.id for one in calls.list(name, order="ascending")] == [made.id]
    gone = calls.delete(made.id, fine_tuned_model_checkpoint=name)
    assert (gone.id, gone.deleted) == (made.id, True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_permissions_refused(client: OpenAI, tuned: Any) -> None:
    """An unknown project is a 400, an unknown model or permission a 404."""
    calls, name = client.fine_tuning.checkpoints.permissions, tuned.fine_tuned_model
    with refused(param="project_ids[0]"):
        calls.create(name, project_ids=["proj_none"])
    with refused(openai.NotFoundError, "model_not_found"):
        calls.retrieve("ft:none")
    if hasattr(calls, "list"):
        with refused(openai.NotFoundError, "model_not_found"):
            calls.list("ft:none")
    with refused(openai.NotFoundError):
        calls.delete("cp_none", fine_tuned_model_checkpoint=name)


@pytest.mark.parametrize("grader", [CHECK, NEAR, SCORE, LABEL, MULTI], ids=lambda grader: grader["type"])
def test_graders_run(client: OpenAI, grader: Any) -> None:
    """Every kind of grader gives a reward; its errors are flags."""
    made = client.fine_tuning.alpha.graders.run(grader=grader, model_sample="refund", item={"label": "refund"})
    assert made.reward == (0 if grader is SCORE else 1)  # a label is no number
    assert (made.metadata.name, made.metadata.type) == (grader["name"], grader["type"])
    assert made.metadata.errors.api_model_grader_parse_error is (grader is SCORE)
    assert set(made.sub_rewards) == ({"a", "b"} if grader is MULTI else set())


def test_graders_run_refused(client: OpenAI) -> None:
    """A grader that lacks something, and Python without a sandbox, are 400s."""
    run: Any = client.fine_tuning.alpha.graders.run
    with refused(param="grader.operation"):
        run(grader={**CHECK, "operation": "unheard-of"}, model_sample="a")
    with refused():
        run(grader=PYTHON, model_sample="a")


@pytest.mark.parametrize("grader", [CHECK, NEAR, SCORE], ids=lambda grader: grader["type"])
def test_graders_validate(client: OpenAI, grader: Any) -> None:
    """A valid grader comes back."""
    made = client.fine_tuning.alpha.graders.validate(grader=grader).grader
    assert grader.items() <= made.model_dump(exclude_unset=True).items()  # type: ignore[union-attr]


@pytest.mark.parametrize("grader", [LABEL, MULTI], ids=lambda grader: grader["type"])
def test_graders_validate_beyond_the_types(loose: OpenAI, grader: Any) -> None:
    """Loose: OpenAI's type of this answer has no label_model grader, and one nameless sub-grader in a multi grader."""
    made: Any = loose.fine_tuning.alpha.graders.validate(grader=grader).grader
    assert made.type == grader["type"]


def test_graders_validate_refused(client: OpenAI) -> None:
    """A grader that lacks something is a 400."""
    grader: Any = CHECK | {"operation": "unheard-of"}
    with refused(param="grader.operation"):
        client.fine_tuning.alpha.graders.validate(grader=grader)
