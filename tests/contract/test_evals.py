"""client.evals: definitions, runs that are graded to their end, and their output items."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.contract.conftest import refused, until

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}, "label": {"type": "string"}}}
CONFIG: Any = {"type": "custom", "item_schema": SCHEMA, "include_sample_schema": True}
CHECK: Any = {
    "type": "string_check", "name": "check", "input": "{{sample.output_text}}", "reference": "{{item.label}}",
    "operation": "eq",
}  # fmt: skip
NEAR = {
    "type": "text_similarity", "name": "near", "input": "{{sample.output_text}}", "reference": "{{item.label}}",
    "evaluation_metric": "fuzzy_match", "pass_threshold": 0.9,
}  # fmt: skip
LABEL = {
    "type": "label_model", "name": "label", "model": "tiny", "input": [{"role": "user", "content": "{{item.text}}"}],
    "labels": ["refund", "login"], "passing_labels": ["refund", "login"],
}  # fmt: skip
PYTHON = {"type": "python", "name": "code", "source": "def grade(sample, item):\n    return 1.0\n"}
ROWS = [{"item": {"text": "my refund", "label": "refund"}}, {"item": {"text": "my login", "label": "refund"}}]
ASK: Any = {"type": "template", "template": [{"role": "user", "content": "{{item.text}}"}]}


def source(**options: Any) -> Any:
    """A run that asks a model about each row."""
    given = {"type": "completions", "model": "tiny", "input_messages": ASK, "sampling_params": {"temperature": 0}}
    return given | {"source": {"type": "file_content", "content": ROWS}} | options


def finished(client: OpenAI, run: Any, status: str = "completed") -> Any:
    """The run, once it has this status."""
    return until(lambda: client.evals.runs.retrieve(run.id, eval_id=run.eval_id), status)


@pytest.fixture(scope="module")
def eval(client: OpenAI) -> Any:
    """An eval with every grader that there is for evals."""
    criteria: Any = [CHECK, NEAR, LABEL]
    return client.evals.create(data_source_config=CONFIG, testing_criteria=criteria, name="topics", metadata={"a": "b"})


@pytest.fixture(scope="module")
def run(client: OpenAI, eval: Any) -> Any:
    """A run that has been graded."""
    made = client.evals.runs.create(eval.id, data_source=source(), name="first", metadata={"a": "b"})
    assert made.status in ("queued", "in_progress")
    return finished(client, made)


def test_create(eval: Any) -> None:
    """The eval has its schema, with item and sample, and its graders."""
    assert (eval.object, eval.name, eval.metadata) == ("eval", "topics", {"a": "b"})
    assert set(eval.data_source_config.schema_["properties"]) == {"item", "sample"}
    assert [one.type for one in eval.testing_criteria] == ["string_check", "text_similarity", "label_model"]


@pytest.mark.parametrize("kind", ["logs", "stored_completions"])
def test_create_over_what_is_stored(client: OpenAI, kind: str) -> None:
    """Evals over stored completions."""
    config, criteria = {"type": kind, "metadata": {"origin": "stored"}}, [CHECK | {"reference": "refund"}]
    made = client.evals.create(data_source_config=config, testing_criteria=criteria)  # type: ignore[arg-type]
    assert made.data_source_config.type == kind


def test_create_refused(client: OpenAI) -> None:
    """No criteria, a field that no row has, and Python without a sandbox, are 400s."""
    for criteria in ([], [CHECK | {"reference": "{{item.none}}"}], [PYTHON]):
        with refused():
            client.evals.create(data_source_config=CONFIG, testing_criteria=criteria)  # type: ignore[arg-type]


def test_retrieve(client: OpenAI, eval: Any) -> None:
    """The same eval again; another id is a 404."""
    assert client.evals.retrieve(eval.id).model_dump() == eval.model_dump()
    with refused(openai.NotFoundError):
        client.evals.retrieve("eval_none")


def test_list(client: OpenAI, eval: Any) -> None:
    """All evals, page by page; a wrong order is a 400."""
    assert eval.id in [one.id for one in client.evals.list(limit=1, order="desc", order_by="updated_at")]
    with refused(param="order_by"):
        client.evals.list(order_by="name")  # type: ignore[arg-type]


def test_update(client: OpenAI) -> None:
    """Another name and metadata; another id is a 404."""
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK])
    changed = client.evals.update(made.id, name="other", metadata={"c": "d"})
    assert (changed.id, changed.name, changed.metadata) == (made.id, "other", {"c": "d"})
    with refused(openai.NotFoundError):
        client.evals.update("eval_none", name="other")


def test_delete(client: OpenAI) -> None:
    """What is deleted is gone."""
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK])
    gone = client.evals.delete(made.id)
    assert (gone.eval_id, gone.deleted) == (made.id, True)
    with refused(openai.NotFoundError):
        client.evals.delete(made.id)


def test_runs_create(run: Any, eval: Any) -> None:
    """The run counts its rows, by grader and by model."""
    assert (run.object, run.eval_id, run.model, run.name, run.metadata) == (
        "eval.run", eval.id, "tiny", "first", {"a": "b"},
    )  # fmt: skip
    counts = run.result_counts
    assert (counts.total, counts.passed, counts.failed, counts.errored) == (2, 1, 1, 0)
    assert [(one.passed, one.failed) for one in run.per_testing_criteria_results] == [(1, 1), (1, 1), (2, 0)]
    assert run.per_model_usage[0].run_model_name == "tiny"
    assert run.report_url


def test_runs_create_from_a_file(client: OpenAI, eval: Any) -> None:
    """Rows with samples of their own, from an uploaded file. What is deleted is gone."""
    rows = [row | {"sample": {"output_text": "refund"}} for row in ROWS]
    content = "\n".join(map(json.dumps, rows)).encode()
    file = client.files.create(file=("rows.jsonl", content), purpose="evals")
    made = client.evals.runs.create(
        eval.id, data_source={"type": "jsonl", "source": {"type": "file_id", "id": file.id}}
    )
    done = finished(client, made)
    assert (done.result_counts.total, done.result_counts.passed) == (2, 2)
    gone = client.evals.runs.delete(made.id, eval_id=eval.id)
    assert (gone.run_id, gone.deleted) == (made.id, True)
    with refused(openai.NotFoundError):
        client.evals.runs.delete(made.id, eval_id=eval.id)


def test_runs_create_refused(client: OpenAI, eval: Any) -> None:
    """An unknown model, file or eval is told."""
    with refused(openai.NotFoundError, "model_not_found"):
        client.evals.runs.create(eval.id, data_source=source(model="unheard-of"))
    with refused():
        client.evals.runs.create(eval.id, data_source=source(source={"type": "file_id", "id": "file-none"}))
    with refused(openai.NotFoundError):
        client.evals.runs.create("eval_none", data_source=source())


def test_runs_retrieve(client: OpenAI, eval: Any, run: Any) -> None:
    """The same run again; another id is a 404."""
    assert client.evals.runs.retrieve(run.id, eval_id=eval.id) == run
    with refused(openai.NotFoundError):
        client.evals.runs.retrieve("evalrun_none", eval_id=eval.id)


def test_runs_list(client: OpenAI, eval: Any, run: Any) -> None:
    """The runs of an eval, page by page, by status; another eval is a 404."""
    assert run.id in [one.id for one in client.evals.runs.list(eval.id, limit=1, status="completed")]
    with refused(openai.NotFoundError):
        client.evals.runs.list("eval_none")


def test_runs_cancel(client: OpenAI, eval: Any, run: Any) -> None:
    """A run under way, of the responses API, is canceled, as evals spell it; one that has ended is not."""
    rows = {"type": "file_content", "content": ROWS * 500}
    made = client.evals.runs.create(eval.id, data_source=source(type="responses", source=rows))
    client.evals.runs.cancel(made.id, eval_id=eval.id)
    finished(client, made, "canceled")
    with refused():
        client.evals.runs.cancel(run.id, eval_id=eval.id)


def test_output_items_list(client: OpenAI, eval: Any, run: Any) -> None:
    """Each row with its sample and grades, in pages, by status; another run is a 404."""
    items = list(client.evals.runs.output_items.list(run.id, eval_id=eval.id, limit=1))
    assert [item.status for item in items] == ["pass", "fail"]
    assert items[1].datasource_item == ROWS[1]["item"]
    assert items[1].sample.output[0].content == "login"
    assert [grade.passed for grade in items[1].results] == [False, False, True]
    failed = list(client.evals.runs.output_items.list(run.id, eval_id=eval.id, status="fail"))
    assert [item.id for item in failed] == [items[1].id]
    with refused(openai.NotFoundError):
        client.evals.runs.output_items.list("evalrun_none", eval_id=eval.id)


def test_output_items_retrieve(client: OpenAI, eval: Any, run: Any) -> None:
    """One item again; another id is a 404."""
    calls = client.evals.runs.output_items
    item = calls.list(run.id, eval_id=eval.id).data[0]
    assert calls.retrieve(item.id, eval_id=eval.id, run_id=run.id).model_dump() == item.model_dump()
    with refused(openai.NotFoundError):
        calls.retrieve("item_none", eval_id=eval.id, run_id=run.id)
