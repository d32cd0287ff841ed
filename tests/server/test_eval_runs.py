"""Runs of evals with the official client: what is asked, graded and counted, and what becomes of rows that are wrong.

The work is done in this process, but for the last tests, which have real ones, killed and cancelled.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest
from tests.server.conftest import Served, running
from tests.server.test_evals import ASK, CUSTOM, LABEL, NEAR, RIGHT, SCORE, make

from nanosmith.core.limits import MAX_EVAL_CRITERIA, MAX_STORED_BYTES
from nanosmith.flows.embedder import folder_of
from nanosmith.jobs import models as local_models
from nanosmith.jobs.run import main
from nanosmith.jobs.supervisor import Supervisor
from nanosmith.jobs.webhooks import DELIVERY, new_endpoint
from nanosmith.server import eval_work
from nanosmith.server.eval_items import Evaluator, Graded
from nanosmith.server.eval_rows import Row
from nanosmith.store.home import Home
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle

PAGE = Path(__file__).parents[2] / "docs" / "evals.md"
TEMPLATE = {"type": "template", "template": ASK}
OPEN = ("queued", "in_progress")
ROWS = [
    {"item": {"text": "my refund", "label": "refund"}},
    {"item": {"text": "the login fails", "label": "login"}},
    {"item": {"text": "my refund", "label": "delivery"}},
]
SLOW_TEXT = " ".join(f"word{i}" for i in range(400))
SLOW = {
    "type": "text_similarity", "name": "slow", "input": "{{ item.text }}" * 10, "reference": "{{ item.label }}" * 10,
    "evaluation_metric": "rouge_l", "pass_threshold": 0.5,
}  # fmt: skip
"""Takes 10 to 20 ms for a row whose texts are both SLOW_TEXT."""


def inline(*rows: Any) -> dict[str, Any]:
    return {"type": "file_content", "content": list(rows)}


def jsonl(*rows: Any) -> dict[str, Any]:
    return {"type": "jsonl", "source": inline(*rows)}


def completions(*rows: Any, model: str = "tiny", **options: Any) -> dict[str, Any]:
    source = options.pop("source", None) or inline(*rows)
    return {"type": "completions", "model": model, "input_messages": TEMPLATE, "source": source} | options


class Runner:
    """A client of a server without workers, whose runs are worked off when asked."""

    def __init__(self, served: Served) -> None:
        self.home = served.home
        self.ledger = served.services.ledger
        self.client = served.client()
        self.evals = self.client.evals
        self.http = httpx.Client(base_url=f"{served.url}/v1", timeout=20)

    def run(self, source: Any, *criteria: Any, config: Any = CUSTOM, **options: Any) -> Any:
        """A run of a new eval, at its end."""
        made = make(self.client, *criteria, config=config)
        run = self.evals.runs.create(made.id, data_source=source, **options)
        assert run.status == "queued"
        main(run.id, self.home)
        return self.evals.runs.retrieve(run.id, eval_id=made.id)

    def items(self, run: Any, **options: Any) -> list[Any]:
        return list(self.evals.runs.output_items.list(run.id, eval_id=run.eval_id, **options))

    def refused(self, source: Any, **body: Any) -> openai.APIStatusError:
        made = make(self.client)
        with pytest.raises(openai.APIStatusError) as caught:
            self.evals.runs.create(made.id, data_source=source, **body)
        assert list(self.evals.runs.list(made.id)) == []
        return caught.value

    def upload(self, content: bytes, purpose: Any = "evals") -> dict[str, Any]:
        file = self.client.files.create(file=("rows.jsonl", content), purpose=purpose)
        return {"type": "file_id", "id": file.id}


@pytest.fixture
def runner(fresh: Served) -> Iterator[Runner]:
    made = Runner(fresh)
    yield made
    made.client.close()
    made.http.close()


def test_a_model_is_asked_and_graded(runner: Runner) -> None:
    """Each row is a prompt by the template; the counts tell how many answers passed, by criterion and model."""
    run = runner.run(completions(*ROWS), RIGHT, NEAR, name="first", metadata={"a": "b"})
    assert (run.status, run.name, run.model, run.metadata) == ("completed", "first", "tiny", {"a": "b"})
    assert run.result_counts.model_dump() == {"total": 3, "passed": 2, "failed": 1, "errored": 0}
    assert [(one.passed, one.failed) for one in run.per_testing_criteria_results] == [(2, 1), (2, 1)]
    (usage,) = run.per_model_usage
    assert (usage.run_model_name, usage.invocation_count, usage.completion_tokens) == ("tiny", 3, 3)
    assert usage.total_tokens == usage.prompt_tokens + 3
    assert (run.error.code, run.error.message) == ("", "")
    assert runner.http.get(run.report_url).json()["id"] == run.id


def test_an_output_item(runner: Runner) -> None:
    """It has the row, the messages that were sent, the answer, and one result for each criterion by its id."""
    run = runner.run(completions(ROWS[2], sampling_params={"temperature": 0, "seed": 7}))
    (item,) = runner.items(run)
    assert (item.status, item.datasource_item_id, item.datasource_item) == ("fail", 0, ROWS[2]["item"])
    assert [(one.role, one.content) for one in item.sample.input] == [
        ("developer", "Which topic?"), ("user", "my refund"),
    ]  # fmt: skip
    assert [(one.role, one.content) for one in item.sample.output] == [("assistant", "refund")]
    assert (item.sample.temperature, item.sample.seed, item.sample.top_p) == (0, 7, 1)
    assert (item.sample.model, item.sample.finish_reason, item.sample.error.message) == ("tiny", "stop", "")
    (result,) = item.results
    assert (result.name, result.score, result.passed) == (
        run.per_testing_criteria_results[0].testing_criteria,
        0,
        False,
    )
    same = runner.evals.runs.output_items.retrieve(item.id, eval_id=run.eval_id, run_id=run.id)
    assert same.model_dump() == item.model_dump()


def test_a_model_answers_as_in_a_chat_completion(runner: Runner) -> None:
    """The sample is the content of the answer, so that JSON answers can be looked into."""
    right = RIGHT | {"input": "{{ sample.output_json.intent }}"}
    shape = {"type": "json_object"}
    run = runner.run(completions(*ROWS, model="field", sampling_params={"response_format": shape}), right)
    assert run.result_counts.passed == 2
    assert runner.items(run)[0].sample.output[0].content == '{"intent": "refund"}'


def test_rows_with_samples_are_graded_as_they_are(runner: Runner) -> None:
    """Without a model nothing is asked; `output_json` is there where the text is JSON."""
    rows = [row | {"sample": {"output_text": '{"intent": "refund"}'}} for row in ROWS]
    run = runner.run(jsonl(*rows), RIGHT | {"input": "{{ sample.output_json.intent }}"})
    assert (run.status, run.model, run.per_model_usage) == ("completed", "", [])
    assert run.result_counts.model_dump() == {"total": 3, "passed": 1, "failed": 2, "errored": 0}
    assert runner.items(run)[0].sample.output[0].content == '{"intent": "refund"}'


def test_rows_without_samples(runner: Runner) -> None:
    """Graders of the item alone need none; one that wants a sample makes the row an error."""
    own = RIGHT | {"input": "{{ item.text }}", "reference": "refund", "operation": "like"}
    run = runner.run(jsonl(*ROWS), own, config=CUSTOM | {"include_sample_schema": False})
    assert run.result_counts.model_dump() == {"total": 3, "passed": 2, "failed": 1, "errored": 0}
    run = runner.run(jsonl(*ROWS), own, RIGHT)
    assert run.result_counts.errored == 3
    item = runner.items(run)[0]
    assert item.status == "error"
    assert item.sample.error.code == "invalid_variable_error"
    assert "output_text" in item.sample.error.message
    assert [result.passed for result in item.results] == [True, False]
    assert item.results[1].nanosmith["errors"]


def test_messages_of_the_row(runner: Runner) -> None:
    """`item_reference` names a list of messages, or a text, in the row; anything else is that row's error."""
    schema = {"type": "custom", "item_schema": {"type": "object"}}
    turns = [{"role": "system", "content": "Topic?"}, {"role": "user", "content": [{"type": "text", "text": "login"}]}]
    rows = [{"item": {"talk": talk}} for talk in (turns, "my refund", 7, [{"role": "user"}], [])] + [{"item": {}}]
    reference = {"type": "item_reference", "item_reference": "item.talk"}
    right = RIGHT | {"reference": "login"}
    run = runner.run(completions(*rows, input_messages=reference), right, config=schema)
    assert [item.status for item in runner.items(run)] == ["pass", "fail", "error", "error", "error", "error"]


def test_bad_rows_are_errors_of_their_own(runner: Runner) -> None:
    """A row that cannot be used is an errored item that says why; the others are graded, and blank lines are none."""
    lines = [
        ROWS[0], "\n", "no json", {"row": {}}, {"item": {"text": "x"}}, {"item": {"text": 3, "label": "refund"}},
        {"item": ["text"]}, {"item": {"text": "x" * MAX_STORED_BYTES, "label": "refund"}}, ROWS[1],
    ]  # fmt: skip
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    source = runner.upload("\n".join(texts).encode() + b"\n\xff\xfe\n")
    run = runner.run(completions(source=source))
    items = runner.items(run, limit=3)
    assert [item.status for item in items] == ["pass", *["error"] * 6, "pass", "error"]
    assert [item.datasource_item_id for item in items] == list(range(9))
    words = [item.sample.error.message for item in items]
    for part, said in zip(
        ["not JSON", "`item`", "no `label`", "`text` is not", "object", "too large", "", "UTF-8"],
        words[1:],
        strict=True,
    ):
        assert part in said
    assert run.result_counts.model_dump() == {"total": 9, "passed": 2, "failed": 0, "errored": 7}
    assert run.per_testing_criteria_results[0].errored == 7


def test_a_row_that_the_model_refuses(runner: Runner) -> None:
    """What is too long for a model, once its template is filled in, is an error of that row."""
    template = {"type": "template", "template": [{"role": "user", "content": "{{ item.text }}" * 20}]}
    long = {"item": {"text": "x" * 10_000, "label": "refund"}}
    run = runner.run(completions(long, ROWS[0], input_messages=template))
    assert [item.status for item in runner.items(run)] == ["error", "pass"]
    assert "too long" in runner.items(run)[0].sample.error.message


def test_an_eval_without_rows(runner: Runner) -> None:
    """It completes, and nothing was graded."""
    run = runner.run(jsonl())
    assert (run.status, run.result_counts.total) == ("completed", 0)
    assert runner.items(run) == []


def test_models_as_graders(runner: Runner) -> None:
    """A classifier labels, one whose labels are numbers scores; both are counted by model, and a label that the
    grader does not know is an error."""
    bundle = tiny_bundle(runner.home.bundles / "numbers", ["1", "5"], name="numbers")
    runner.ledger.add_model(ModelRow("numbers", 1, "numbers", bundle.digest, "nanosmith-nano"))
    rows = [{"item": {"text": text, "label": ""}} for text in ("refund 5", "login 1", "delivery 5")]
    run = runner.run(jsonl(*rows), LABEL, SCORE)
    items = runner.items(run)
    assert [item.status for item in items] == ["pass", "fail", "error"]
    assert [[result.score for result in item.results] for item in items] == [[1, 5], [0, 1], [0, 5]]
    assert {(one.run_model_name, one.invocation_count) for one in run.per_model_usage} == {("tiny", 3), ("numbers", 3)}
    assert items[0].results[1].sample == {"model": "numbers", "output_text": ["5"]}


def test_a_multi_grader(runner: Runner) -> None:
    """Its score is the formula's; without a threshold it passes at 1."""
    multi = {"type": "multi", "name": "both", "graders": {"a": RIGHT, "b": NEAR}, "calculate_output": "(a + b) / 2"}
    body = {"data_source_config": CUSTOM, "testing_criteria": [multi]}
    made = runner.http.post("/evals", json=body).json()
    rows = [row | {"sample": {"output_text": "refund"}} for row in ROWS[:2]]
    run = runner.evals.runs.create(made["id"], data_source=jsonl(*rows))
    main(run.id, runner.home)
    items = runner.items(run)
    assert [(item.status, item.results[0].score) for item in items] == [("pass", 1), ("fail", 0)]


def test_cosine_with_the_base_model(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base model that embeds compares by meaning; where its weights are missing the eval is refused."""
    cosine = NEAR | {"evaluation_metric": "cosine", "input": "{{ item.text }}"}
    base = local_models.base_models()["nanosmith-nano"]
    nowhere = {"nanosmith-nano": msgspec.structs.replace(base, base="nowhere/none")}
    with monkeypatch.context() as without:
        without.setattr(local_models, "base_models", lambda: nowhere)
        with pytest.raises(openai.InternalServerError) as caught:
            make(runner.client, cosine)
    assert (caught.value.status_code, caught.value.code) == (501, "missing_weights")
    shutil.copytree(runner.home.bundles / "tiny", folder_of(runner.home, base.size, base.base))
    run = runner.run(jsonl(*ROWS), cosine)
    scores = [item.results[0].score for item in runner.items(run)]  # beside the label stand one and two unknown words
    assert scores == pytest.approx([1 / 2**0.5, 1 / 5**0.5, 0])


def test_stored_completions_are_graded(runner: Runner) -> None:
    """Their answers are the samples, `item.input` their messages; the eval's filter and the run's both hold."""

    def store(text: str, **metadata: str) -> str:
        messages = [{"role": "user", "content": text}]
        return runner.client.chat.completions.create(
            model="tiny", messages=messages, store=True, metadata=metadata
        ).id  # fmt: skip

    kept = [store("my refund", use="bot", lang="en"), store("the login", use="bot", lang="en")]
    store("my refund", use="bot", lang="de")
    store("my refund", lang="en")
    config = {"type": "logs", "metadata": {"use": "bot"}}
    source = {"type": "stored_completions", "model": "tiny", "metadata": {"lang": "en"}}
    right = RIGHT | {"reference": "refund"}
    asked = RIGHT | {"name": "asked", "input": "{{ item.input[0].content }}", "reference": "my", "operation": "like"}
    run = runner.run({"type": "completions", "source": source}, right, asked, config=config)
    items = runner.items(run)
    assert [item.datasource_item["id"] for item in items] == kept
    assert [[result.passed for result in item.results] for item in items] == [[True, True], [False, False]]
    assert items[0].sample.model == "tiny"
    limited = runner.run({"type": "completions", "source": source | {"limit": 1}}, right, config=config)
    assert limited.result_counts.total == 1
    early = runner.run({"type": "completions", "source": source | {"created_before": 1}}, right, config=config)
    assert early.result_counts.total == 0
    again = completions(source=source, input_messages={"type": "item_reference", "item_reference": "item.input"})
    assert runner.run(again, right, config=config).per_model_usage[0].invocation_count == 2


@pytest.mark.parametrize(
    ("source", "param", "code"),
    [
        ({"type": "csv"}, "data_source.type", "invalid_value"),
        ({"type": "jsonl"}, "data_source.source", "missing_required_parameter"),
        (jsonl({"row": 1}), "data_source.source.content[0].item", "missing_required_parameter"),
        ({"type": "jsonl", "source": {"type": "file_id", "id": "file-none"}}, "data_source.source.id", "invalid_file"),
        ({"type": "jsonl", "source": {"type": "stored_completions"}}, "data_source.source.type", "invalid_value"),
        ({"type": "responses", "source": {"type": "responses"}}, "data_source.source.type", "unsupported_parameter"),
        ({"type": "completions", "source": inline(), "model": "tiny"}, "data_source.input_messages",
         "missing_required_parameter"),
        ({"type": "completions", "source": inline(), "input_messages": TEMPLATE}, "data_source.model",
         "missing_required_parameter"),
        (completions(model="gpt-4o-mini"), "data_source.model", "model_not_found"),
        (completions(sampling_params={"temperature": 3}), "data_source.sampling_params.temperature", "invalid_value"),
        (completions(sampling_params={"tools": [{"type": "function"}]}), "data_source.sampling_params.tools",
         "unsupported_parameter"),
        (completions(sampling_params={"response_format": {"type": "json_object"}}),
         "data_source.sampling_params.response_format", "unsupported_parameter"),
        (completions(input_messages={"type": "template", "template": [{"role": "user", "content": "{{ item.txt }}"}]}),
         "data_source.input_messages.template[0].content", "invalid_value"),
        (completions(input_messages={"type": "item_reference", "item_reference": "item.txt"}),
         "data_source.input_messages.item_reference", "invalid_value"),
        (jsonl({"item": {"text": "x" * MAX_STORED_BYTES}}), "data_source", "invalid_value"),
    ],
)  # fmt: skip
def test_a_run_that_could_not_begin(runner: Runner, source: Any, param: str, code: str) -> None:
    """The error names the field, and no run is made."""
    error = runner.refused(source)
    assert (error.param, error.code) == (param, code)


def test_a_file_of_another_purpose(runner: Runner) -> None:
    """The rows must have been uploaded for evals."""
    error = runner.refused({"type": "jsonl", "source": runner.upload(b"{}", "user_data")})
    assert (error.param, error.code) == ("data_source.source.id", "invalid_file")


def test_ignored_sampling_parameters_are_listed(runner: Runner) -> None:
    """As for a chat completion, a header names what changes nothing."""
    made = make(runner.client)
    body = {"data_source": completions(*ROWS, sampling_params={"temperature": 1, "seed": 1, "made_up": 1})}
    answer = runner.http.post(f"/evals/{made.id}/runs", json=body)
    assert answer.status_code == 201
    assert answer.headers["x-nanosmith-ignored"] == "temperature, made_up"


def test_a_run_of_type_responses(runner: Runner) -> None:
    """It asks the same; its format is written in another place, and refused in the same cases."""
    source = completions(*ROWS, model="field", sampling_params={"text": {"format": {"type": "json_object"}}})
    run = runner.run(source | {"type": "responses"}, RIGHT | {"input": "{{ sample.output_json.intent }}"})
    assert run.result_counts.passed == 2
    error = runner.refused(source | {"type": "responses", "model": "tiny"})
    assert error.code == "unsupported_parameter"


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


def test_an_interrupted_run_goes_on(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits in the queue with what was kept of it, and the next process grades the other rows alone."""
    made, graded = make(runner.client), Evaluator.graded
    run = runner.evals.runs.create(made.id, data_source=completions(*ROWS))

    def stopped_at_the_last(evaluator: Evaluator, row: Row) -> Graded:
        if row.number == 2:
            raise KeyboardInterrupt
        return graded(evaluator, row)

    with monkeypatch.context() as patched:
        patched.setattr(eval_work, "GROUP_ITEMS", 1)
        patched.setattr(Evaluator, "graded", stopped_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            main(run.id, runner.home)
    waiting = runner.evals.runs.retrieve(run.id, eval_id=made.id)
    assert (waiting.status, waiting.result_counts.total) == ("queued", 2)
    main(run.id, runner.home)
    done = runner.evals.runs.retrieve(run.id, eval_id=made.id)
    assert (done.status, done.result_counts.total) == ("completed", 3)
    assert done.per_model_usage[0].invocation_count == 3
    assert [item.datasource_item_id for item in runner.items(done)] == [0, 1, 2]


@pytest.fixture
def working(stocked: Home) -> Iterator[Runner]:
    """A server with a worker."""
    supervisor = Supervisor(stocked, poll_s=0.05)
    supervisor.start()
    with running(stocked, supervisor=supervisor) as served:
        made = Runner(served)
        yield made
        made.client.close()
        made.http.close()
        supervisor.stop()


def test_the_page(working: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """The example of docs/evals.md runs as it stands, and the limits there are those of the code."""
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    scope: dict[str, Any] = {}
    exec(block.replace("http://localhost:8000/v1", str(working.http.base_url)), scope)
    scope["client"].close()
    assert capsys.readouterr().out == "completed 1 1\nI forgot my login login\n"
    assert f"1 to {MAX_EVAL_CRITERIA} `testing_criteria`" in text
    assert f"{MAX_STORED_BYTES // 1024**2} MiB of JSON" in text


def slow_run(runner: Runner, rows: int) -> Any:
    made = make(runner.client, SLOW)
    row = {"item": {"text": SLOW_TEXT, "label": SLOW_TEXT[::-1]}}
    lines = json.dumps(row).encode() + b"\n"
    return runner.evals.runs.create(made.id, data_source={"type": "jsonl", "source": runner.upload(lines * rows)})


def wait_for(runner: Runner, run: Any, true: Callable[[Any], Any], within_s: float = 60) -> Any:
    until = time.monotonic() + within_s
    while True:
        run = runner.evals.runs.retrieve(run.id, eval_id=run.eval_id)
        if true(run):
            return run
        assert time.monotonic() < until, f"still {run.status} with {run.result_counts}"
        time.sleep(0.02)


def test_killed_in_the_middle(working: Runner) -> None:
    """After kill -9 of its process the run goes on below the last rows that were kept: each is graded once."""
    run = wait_for(working, slow_run(working, 400), lambda run: run.result_counts.total)
    work = working.ledger.work(run.id)
    assert work is not None
    assert work.owner is not None
    os.kill(int(work.owner.rpartition(":")[2]), signal.SIGKILL)
    assert run.result_counts.total < 400
    done = wait_for(working, run, lambda run: run.status not in OPEN)
    assert (done.status, done.result_counts.total) == ("completed", 400)
    assert [item.datasource_item_id for item in working.items(run, limit=100)] == list(range(400))


def test_canceled_in_the_middle(working: Runner) -> None:
    """It takes two seconds on an idle machine; what was graded stays, and is what was counted."""
    run = wait_for(working, slow_run(working, 5000), lambda run: run.result_counts.total)
    asked = time.monotonic()
    assert working.evals.runs.cancel(run.id, eval_id=run.eval_id).status in ("in_progress", "canceled")
    ended = wait_for(working, run, lambda run: run.status not in OPEN)
    assert time.monotonic() - asked < 10
    assert ended.status == "canceled"
    assert len(working.items(run, limit=100)) == ended.result_counts.total > 0
    assert working.ledger.open_work() == []


def test_deleted_in_the_middle(working: Runner) -> None:
    """The process that works on it stops, and leaves nothing behind."""
    run = wait_for(working, slow_run(working, 5000), lambda run: run.result_counts.total)
    process = working.ledger.work(run.id)
    working.evals.delete(run.eval_id)
    until = time.monotonic() + 20
    pid = int((process.owner or "").rpartition(":")[2]) if process else 0
    while _runs(pid):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert working.ledger.count_documents("eval.run.output_item") == 0


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
