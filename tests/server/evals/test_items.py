"""What a run grades: the rows, with the answers of models, and what becomes of rows that are wrong."""

from __future__ import annotations

import json
import shutil

import msgspec
import openai
import pytest
from tests.server.conftest import add_writer
from tests.server.evals.conftest import CUSTOM, LABEL, NEAR, RIGHT, ROWS, SCORE, Runner, completions, jsonl, make

from nanosmith.core.limits import MAX_STORED_BYTES
from nanosmith.flows.embedder import folder_of
from nanosmith.jobs import models as local_models
from nanosmith.jobs.run import main
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle


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


def test_a_text_model_writes_the_samples(runner: Runner) -> None:
    """With the run's sampling parameters, which are not listed as ignored; its reason and tokens are told."""
    add_writer(runner.home, "poet", "refund refund")
    run = runner.run(completions(*ROWS, model="poet", sampling_params={"max_completion_tokens": 1, "temperature": 0}))
    assert (run.result_counts.passed, run.per_model_usage[0].completion_tokens) == (1, 3)
    item = runner.items(run)[0]
    assert (item.sample.output[0].content, item.sample.finish_reason) == ("refund", "length")


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
