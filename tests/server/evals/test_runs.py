"""Runs of evals with the official client: listed, canceled, deleted, and told of when they end."""

from __future__ import annotations

import openai
import pytest
from tests.server.evals.conftest import ROWS, Runner, completions, make

from nanosmith.jobs.run import main
from nanosmith.jobs.webhooks.webhooks import DELIVERY, new_endpoint


def test_lists_of_runs_and_items(runner: Runner) -> None:
    """Runs by status and order, items by status and order, both in pages."""
    made = make(runner.client)
    runs = [runner.evals.runs.create(made.id, data_source=completions(*ROWS)).id for _ in range(3)]
    main(runs[1], runner.home)
    assert [run.id for run in runner.evals.runs.list(made.id, limit=2)] == runs
    assert [run.id for run in runner.evals.runs.list(made.id, order="desc")] == runs[::-1]
    assert [run.id for run in runner.evals.runs.list(made.id, status="completed")] == [runs[1]]
    assert [run.id for run in runner.evals.runs.list(made.id, status="queued")] == [runs[0], runs[2]]
    run = runner.evals.runs.retrieve(runs[1], eval_id=made.id)
    numbers = {
        "asc": [item.datasource_item_id for item in runner.items(run, limit=2)],
        "desc": [item.datasource_item_id for item in runner.items(run, order="desc")],
        "pass": [item.datasource_item_id for item in runner.items(run, status="pass")],
        "fail": [item.datasource_item_id for item in runner.items(run, status="fail")],
    }
    assert numbers == {"asc": [0, 1, 2], "desc": [2, 1, 0], "pass": [0, 1], "fail": [2]}
    for path in (f"/evals/{made.id}/runs?status=done", f"/evals/{made.id}/runs/{run.id}/output_items?status=done"):
        answer = runner.http.get(path)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "status")


def test_a_run_is_found_under_its_eval_alone(runner: Runner) -> None:
    """Another eval's path leads to none of its runs, another run's to none of its items."""
    run, other = runner.run(completions(*ROWS)), runner.run(completions(*ROWS))
    (item, *_) = runner.items(run)
    paths = [
        f"/evals/{other.eval_id}/runs/{run.id}",
        f"/evals/{other.eval_id}/runs/{run.id}/output_items",
        f"/evals/{other.eval_id}/runs/{other.id}/output_items/{item.id}",
        f"/evals/{run.eval_id}/runs/{run.id}/output_items/none",
        "/evals/none/runs",
    ]
    assert [runner.http.get(path).status_code for path in paths] == [404] * 5
    assert runner.http.post(f"/evals/{other.eval_id}/runs/{run.id}/cancel").status_code == 404


def test_a_waiting_run_is_canceled_at_once(runner: Runner) -> None:
    """Nothing of it is graded; a run that has ended cannot be canceled. OpenAI's older path does the same."""
    made = make(runner.client)
    run = runner.evals.runs.create(made.id, data_source=completions(*ROWS))
    assert runner.evals.runs.cancel(run.id, eval_id=made.id).status == "canceled"
    main(run.id, runner.home)
    assert runner.evals.runs.retrieve(run.id, eval_id=made.id).result_counts.total == 0
    with pytest.raises(openai.BadRequestError) as caught:
        runner.evals.runs.cancel(run.id, eval_id=made.id)
    assert caught.value.code == "run_ended"
    again = runner.evals.runs.create(made.id, data_source=completions(*ROWS))
    assert runner.http.post(f"/evals/{made.id}/runs/{again.id}").json()["status"] == "canceled"


def test_deleting(runner: Runner) -> None:
    """A deleted run is gone with its items, a deleted eval with its runs; also those that wait."""
    run = runner.run(completions(*ROWS))
    ledger = runner.ledger
    other = runner.evals.runs.create(run.eval_id, data_source=completions(*ROWS))
    gone = runner.evals.runs.delete(run.id, eval_id=run.eval_id)
    assert (gone.deleted, gone.run_id, gone.object) == (True, run.id, "eval.run.deleted")
    assert ledger.count_documents("eval.run.output_item") == 0
    assert [one.id for one in runner.evals.runs.list(run.eval_id)] == [other.id]
    runner.evals.delete(run.eval_id)
    assert ledger.count_documents("eval.run") == 0
    assert ledger.open_work() == []


def test_a_run_whose_file_was_deleted(runner: Runner) -> None:
    """It fails, and its error names the field."""
    made, source = make(runner.client), runner.upload(b"{}\n")
    run = runner.evals.runs.create(made.id, data_source={"type": "jsonl", "source": source})
    runner.client.files.delete(source["id"])
    main(run.id, runner.home)
    failed = runner.evals.runs.retrieve(run.id, eval_id=made.id)
    assert (failed.status, failed.error.code) == ("failed", "invalid_file")
    assert source["id"] in failed.error.message


def test_webhooks_are_told_of_the_end(runner: Runner) -> None:
    """Of each end there is an event for each endpoint, in the transaction of the end."""
    runner.ledger.add(new_endpoint("https://example.com/hook"))
    done = runner.run(completions(*ROWS))
    failed = runner.evals.runs.create(done.eval_id, data_source={"type": "jsonl", "source": runner.upload(b"{}\n")})
    runner.client.files.delete(failed.data_source.source.id)
    main(failed.id, runner.home)
    canceled = runner.evals.runs.create(done.eval_id, data_source=completions(*ROWS))
    runner.evals.runs.cancel(canceled.id, eval_id=done.eval_id)
    told = [row.body["event"] for row in runner.ledger.documents(DELIVERY, newest_first=False)]
    assert [(event["type"], event["data"]["id"]) for event in told] == [
        ("eval.run.succeeded", done.id), ("eval.run.failed", failed.id), ("eval.run.canceled", canceled.id),
    ]  # fmt: skip


def test_a_repeated_request_makes_one_run(runner: Runner) -> None:
    """A retry of the client gets the first one's run."""
    made, body = make(runner.client), {"data_source": completions(*ROWS)}
    path = f"/evals/{made.id}/runs"
    first = runner.http.post(path, json=body).json()
    assert runner.http.post(path, json=body, headers={"x-stainless-retry-count": "1"}).json() == first
