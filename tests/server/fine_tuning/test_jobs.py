"""Fine-tuning jobs with the official client; no supervisor runs here, so jobs change only where a test changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from nanosmith.store.ledger import new_id
from nanosmith.store.records import CheckpointRow


@pytest.fixture
def own(fresh: Any) -> Iterator[OpenAI]:
    """A client of a server whose jobs are this test's own."""
    with fresh.client() as client:
        yield client


@pytest.fixture
def file_id(own: OpenAI) -> str:
    return own.files.create(file=("train.jsonl", b"{}\n"), purpose="fine-tune").id


@pytest.fixture
def create(own: OpenAI, file_id: str) -> Callable[..., Any]:
    """Creates a job with what every job needs."""

    def create(**options: Any) -> Any:
        return own.fine_tuning.jobs.create(**{"model": "gpt-4.1-nano", "training_file": file_id} | options)

    return create


def test_create(own: OpenAI, create: Callable[..., Any], file_id: str) -> None:
    """The object has every key: hyperparameters as an object, a null error, an integer seed and the method."""
    supervised = {"hyperparameters": {"n_epochs": 3, "batch_size": "auto"}}
    job = create(
        suffix="support", seed=7, metadata={"team": "a"}, method={"type": "supervised", "supervised": supervised}
    )
    assert job.id.startswith("ftjob-")
    assert (job.object, job.status, job.model, job.training_file) == (
        "fine_tuning.job", "validating_files", "gpt-4.1-nano", file_id,
    )  # fmt: skip
    assert (job.seed, job.metadata, job.result_files, job.error, job.fine_tuned_model) == (
        7,
        {"team": "a"},
        [],
        None,
        None,
    )
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (3, "auto")
    assert job.method.type == "supervised"
    assert job.method.supervised.hyperparameters.n_epochs == 3
    assert (job.organization_id, job.integrations, job.validation_file) == ("local", [], None)
    assert own.fine_tuning.jobs.retrieve(job.id) == job


def test_create_wakes_the_supervisor(fresh: Any, create: Callable[..., Any]) -> None:
    """A new job, and a cancelled one, are told to the supervisor."""

    class Counting:
        calls = 0

        def wake(self) -> None:
            self.calls += 1

    fresh.services.shared.supervisor = Counting()
    create()
    assert fresh.services.shared.supervisor.calls == 1


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"training_file": "file-none"}, "training_file"),
        ({"model": "unheard-of"}, "model"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 0}}}}, "method"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"metadata": {"a": "x\0"}}, "metadata"),
    ],
)
def test_wrong_requests(own: OpenAI, create: Callable[..., Any], options: dict[str, Any], param: str) -> None:
    """A wrong field is a 400 that names it, and no job is made."""
    with pytest.raises(openai.BadRequestError) as caught:
        create(**options)
    assert (caught.value.param or "").startswith(param)
    assert own.fine_tuning.jobs.list().data == []


def test_a_retried_request_makes_one_job(fresh: Any, create: Callable[..., Any], file_id: str) -> None:
    """A request that the client sends again because it saw no answer gives the job that it made before."""
    first = create(suffix="once")
    body = {"model": "gpt-4.1-nano", "training_file": file_id, "suffix": "once"}

    def again(**headers: str) -> str:
        return httpx.post(f"{fresh.url}/v1/fine_tuning/jobs", json=body, headers=headers).json()["id"]

    assert again(**{"x-stainless-retry-count": "1"}) == first.id
    assert again(**{"x-stainless-retry-count": "0"}) != first.id
    body["suffix"] = "other"
    assert again(**{"x-stainless-retry-count": "2"}) != first.id


def test_an_idempotency_key_makes_one_job(fresh: Any, file_id: str) -> None:
    """The same key gives the same job, another key another one, and a key cannot change its request."""
    body = {"model": "nanosmith-nano", "training_file": file_id}

    def post(key: str, **more: str) -> httpx.Response:
        return httpx.post(f"{fresh.url}/v1/fine_tuning/jobs", json=body | more, headers={"idempotency-key": key})

    first, again, other = (post(key).json()["id"] for key in ("a", "a", "b"))
    assert first == again != other
    assert post("a", suffix="x").status_code == 400


def test_list_in_pages_and_by_metadata(own: OpenAI, create: Callable[..., Any]) -> None:
    """Jobs come newest first, in pages, filtered by metadata pairs or by having none."""
    made = [create(metadata={"n": str(i % 2), "a b": "c&d"} if i % 3 else None).id for i in range(9)]
    assert [job.id for job in own.fine_tuning.jobs.list(limit=4)] == made[::-1]
    page = own.fine_tuning.jobs.list(limit=4)
    assert (len(page.data), page.has_more) == (4, True)
    wanted = [made[i] for i in (8, 4, 2)]
    assert [job.id for job in own.fine_tuning.jobs.list(metadata={"n": "0", "a b": "c&d"})] == wanted
    assert [job.id for job in own.fine_tuning.jobs.list(extra_query={"metadata": "null"})] == [
        made[6],
        made[3],
        made[0],
    ]


def test_cancel(own: OpenAI, create: Callable[..., Any]) -> None:
    """A waiting job is cancelled at once; cancelling it again is a 400; an unknown one is a 404."""
    job = create()
    cancelled = own.fine_tuning.jobs.cancel(job.id)
    assert (cancelled.status, cancelled.error) == ("cancelled", None)
    assert isinstance(cancelled.finished_at, int)
    with pytest.raises(openai.BadRequestError):
        own.fine_tuning.jobs.cancel(job.id)
    with pytest.raises(openai.NotFoundError):
        own.fine_tuning.jobs.cancel("ftjob-none")


def test_events(fresh: Any, own: OpenAI, create: Callable[..., Any]) -> None:
    """Events come newest first and in pages; figures are in the data of metrics events."""
    job = create()
    for step in range(1, 26):
        fresh.services.ledger.add_event(
            job.id, f"Step {step}/25", type="metrics", data={"step": step, "train_loss": 0.5}
        )
    events = list(own.fine_tuning.jobs.list_events(job.id, limit=10))
    assert [event.message for event in events[:25]] == [f"Step {step}/25" for step in range(25, 0, -1)]
    assert events[-1].message == f"Created fine-tuning job: {job.id}"
    assert (events[0].type, events[0].data, events[0].level) == ("metrics", {"step": 25, "train_loss": 0.5}, "info")
    assert (events[-1].type, events[-1].data) == ("message", None)
    assert len(own.fine_tuning.jobs.list_events(job.id).data) == 20


def test_checkpoints(fresh: Any, own: OpenAI, create: Callable[..., Any]) -> None:
    """Checkpoints come newest first, with their model's name and the metrics of their step."""
    job = create()
    for step in (10, 20):
        row = CheckpointRow(
            new_id("ftckpt_"), job.id, 1_700_000_000, step, f"ft:x:ckpt-step-{step}", {"train_loss": 0.25}
        )
        fresh.services.ledger.add_checkpoint(row)
    found = list(own.fine_tuning.jobs.checkpoints.list(job.id))
    assert [row.step_number for row in found] == [20, 10]
    assert found[0].fine_tuned_model_checkpoint == "ft:x:ckpt-step-20"
    assert (found[0].metrics.step, found[0].metrics.train_loss, found[0].metrics.valid_loss) == (20, 0.25, None)
    assert (found[0].fine_tuning_job_id, found[0].object) == (job.id, "fine_tuning.job.checkpoint")


@pytest.mark.parametrize("call", ["list_events", "retrieve", "cancel"])
def test_an_unknown_job_is_a_404(own: OpenAI, call: str) -> None:
    """Every call on a job that is not there is a 404 at its id."""
    with pytest.raises(openai.NotFoundError) as caught:
        getattr(own.fine_tuning.jobs, call)("ftjob-none")
    assert caught.value.param == "fine_tuning_job_id"


def test_a_failed_job_shows_its_error(fresh: Any, own: OpenAI, create: Callable[..., Any]) -> None:
    """The error of a job has code, message and param."""
    job = create()
    error = {"code": "invalid_training_file", "message": "line 7: …", "param": "training_file"}
    fresh.services.ledger.update_job(job.id, status="failed", error=error)
    shown = own.fine_tuning.jobs.retrieve(job.id)
    assert (shown.status, shown.error.code, shown.error.param) == ("failed", "invalid_training_file", "training_file")


def test_pause_and_resume(fresh: Any, own: OpenAI, create: Callable[..., Any]) -> None:
    """`paused` is what OpenAI documents, but its client's types do not know it: with the header of strict clients the
    status is `queued`, and the true one lies beside it."""
    job = create()
    shown = own.fine_tuning.jobs.pause(job.id, extra_headers={"x-nanosmith-strict": "true"})
    assert (shown.status, shown.nanosmith) == ("queued", {"status": "paused"})  # type: ignore[attr-defined]
    with fresh.client() as strict, pytest.raises(openai.APIResponseValidationError):
        strict.fine_tuning.jobs.retrieve(job.id)
    with OpenAI(base_url=f"{fresh.url}/v1", api_key="any") as usual:
        assert usual.fine_tuning.jobs.retrieve(job.id).status == "paused"
        with pytest.raises(openai.BadRequestError, match="cannot be paused"):
            usual.fine_tuning.jobs.pause(job.id)
    assert own.fine_tuning.jobs.resume(job.id).status == "queued"
    with pytest.raises(openai.BadRequestError, match="cannot be resumed"):
        own.fine_tuning.jobs.resume(job.id)
    with pytest.raises(openai.NotFoundError):
        own.fine_tuning.jobs.pause("ftjob-none")
