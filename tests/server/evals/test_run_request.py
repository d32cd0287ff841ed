"""What a run may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.evals.conftest import RIGHT, ROWS, TEMPLATE, Runner, completions, inline, jsonl, make

from nanosmith.core.limits import MAX_STORED_BYTES


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
