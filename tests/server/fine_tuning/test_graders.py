"""Graders with the official client: run, validate, and what is refused."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.conftest import refused

from nanosmith.core import limits
from nanosmith.server.app import create_app
from nanosmith.store.home import Home

PAGE = Path(__file__).parents[3] / "docs" / "graders.md"
ALPHA = "/v1/fine_tuning/alpha/graders"
CHECK = {
    "type": "string_check", "name": "check", "input": "{{sample.output_text}}", "reference": "{{item.label}}",
    "operation": "eq",
}  # fmt: skip
NEAR = {
    "type": "text_similarity", "name": "near", "input": "{{sample.output_text}}", "reference": "{{item.label}}",
    "evaluation_metric": "rouge_1", "pass_threshold": 0.8,
}  # fmt: skip
ASK = [{"role": "user", "content": "{{sample.output_text}}"}]
SCORE = {"type": "score_model", "name": "score", "model": "tiny", "input": ASK, "sampling_params": {"temperature": 0}}
LABEL = {
    "type": "label_model", "name": "label", "model": "tiny", "input": ASK, "labels": ["refund", "login", "delivery"],
    "passing_labels": ["refund"],
}  # fmt: skip
PYTHON = {"type": "python", "name": "code", "source": "def grade(sample, item):\n    return 1.0\n"}


def multi(formula: str = "(a + b) / 2", **graders: Any) -> dict[str, Any]:
    return {
        "type": "multi", "name": "both", "graders": graders or {"a": CHECK, "b": NEAR}, "calculate_output": formula,
    }  # fmt: skip


def run(client: OpenAI, grader: Any, sample: str = "refund", **item: Any) -> Any:
    return client.fine_tuning.alpha.graders.run(grader=grader, model_sample=sample, item=item)


def test_a_grade(client: OpenAI) -> None:
    """The answer has every field of the client's strict types; nothing is flagged."""
    made = run(client, CHECK, label="refund")
    assert made.reward == 1
    assert (made.metadata.name, made.metadata.type) == ("check", "string_check")
    errors = made.metadata.errors.model_dump()
    assert len(errors) == 14
    assert not any(errors.values())
    assert made.metadata.execution_time >= 0
    assert (made.sub_rewards, made.api_model_grader_token_usage_per_model) == ({}, {})
    assert (made.metadata.token_usage, made.metadata.sampled_model_name) == (None, None)
    assert run(client, CHECK, label="login").reward == 0


def test_several_graders(client: OpenAI) -> None:
    """A multi grader gives the sub-rewards under their keys."""
    made = run(client, multi(), "a b", label="a b c d")
    assert made.sub_rewards == {"a": 0, "b": pytest.approx(2 / 3)}
    assert made.reward == pytest.approx(1 / 3)


def test_a_model_that_labels(client: OpenAI) -> None:
    """One of our own classifiers answers with its label, and its tokens are counted."""
    made = run(client, LABEL, "my refund please")
    assert made.reward == 1
    assert made.metadata.sampled_model_name == "tiny"
    assert made.metadata.token_usage == 4
    assert made.api_model_grader_token_usage_per_model == {
        "tiny": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "cached_tokens": 0}
    }
    assert run(client, LABEL, "the login fails").reward == 0
    assert run(client, LABEL | {"model": "field"}, "my refund please").reward == 1


def test_a_model_whose_answer_is_no_score(client: OpenAI) -> None:
    """A label is no number: reward 0, the parse error is flagged and told in words."""
    made = run(client, SCORE)
    assert made.reward == 0
    assert made.metadata.errors.api_model_grader_parse_error
    assert "not a number" in made.nanosmith["errors"][0]


@pytest.mark.parametrize(
    ("grader", "sample", "flag"),
    [
        (CHECK, "refund", "invalid_variable_error"),
        (CHECK | {"input": "{{sample.output_json.x}}"}, "refund", "sample_parse_error"),
        (CHECK | {"input": "{{sample.output_json.x}}"}, "{}", "invalid_variable_error"),
        (multi("a +"), "refund", "formula_parse_error"),
        (multi("1 / b", b=NEAR | {"reference": "other"}), "refund", "other_error"),
    ],
)
def test_what_goes_wrong_is_flagged(client: OpenAI, grader: Any, sample: str, flag: str) -> None:
    """An item or sample that does not fit gives reward 0 and the flag of the reason, not an error."""
    made = run(client, grader, sample)
    assert made.reward == 0
    assert [name for name, value in made.metadata.errors.model_dump().items() if value] == [flag]
    assert made.nanosmith["errors"]


@pytest.mark.parametrize("grader", [CHECK, NEAR, SCORE, multi("check", **CHECK)])
def test_a_valid_grader_comes_back(client: OpenAI, grader: Any) -> None:
    """Validation answers with the grader as it was sent; a multi grader of one may be as the client's types have it."""
    made = client.fine_tuning.alpha.graders.validate(grader=grader)
    assert made.grader.model_dump(exclude_unset=True) == grader


@pytest.mark.parametrize("grader", [multi(), LABEL])
def test_what_the_clients_types_do_not_know(http: httpx.Client, grader: Any) -> None:
    """Several sub-graders, and label_model, are valid too; only the types of a strict client have no place for them."""
    answer = http.post(f"{ALPHA}/validate", json={"grader": grader})
    assert (answer.status_code, answer.json()) == (200, {"grader": grader})


@pytest.mark.parametrize(
    ("grader", "param", "code"),
    [
        (PYTHON, "grader.type", "unsupported_grader"),
        (multi("code", code=PYTHON), "grader.graders.code.type", "unsupported_grader"),
        (NEAR | {"evaluation_metric": "cosine"}, "grader.evaluation_metric", "unsupported_grader"),
        (NEAR | {"evaluation_metric": "best"}, "grader.evaluation_metric", "invalid_value"),
        (CHECK | {"operation": "contains"}, "grader.operation", "invalid_value"),
        ({key: value for key, value in CHECK.items() if key != "name"}, "grader.name", "missing_required_parameter"),
        (CHECK | {"input": "{{sample.output_text | upper}}"}, "grader.input", "invalid_value"),
        (CHECK | {"type": "magic"}, "grader.type", "invalid_value"),
        (multi("a + c"), "grader.calculate_output", "invalid_value"),
        (multi("a", a=CHECK | {"operation": "contains"}), "grader.graders.a.operation", "invalid_value"),
        (multi("a", a={"type": "string_check"}), "grader.graders.a.name", "missing_required_parameter"),
        (multi("a", a=multi()), "grader.graders.a.type", "invalid_value"),
        (multi("a", a=7), "grader.graders.a", "invalid_value"),
        (multi("1", max=CHECK), "grader.graders.max", "invalid_value"),
        (LABEL | {"passing_labels": ["other"]}, "grader.passing_labels", "invalid_value"),
        (SCORE | {"range": [1, 0]}, "grader.range", "invalid_value"),
        (SCORE | {"sampling_params": {"temperature": 3}}, "grader.sampling_params.temperature", "invalid_value"),
    ],
)
def test_a_grader_that_is_wrong(client: OpenAI, grader: Any, param: str, code: str) -> None:
    """Validation names the field, down to the sub-grader's."""
    error = refused(client.fine_tuning.alpha.graders.validate, grader=grader)
    assert (error.param, error.code) == (param, code)


def test_running_code_is_refused(client: OpenAI) -> None:
    """The python grader is refused at a run too."""
    with pytest.raises(openai.BadRequestError, match="no sandbox is configured") as caught:
        run(client, PYTHON)
    assert caught.value.code == "unsupported_grader"


def test_a_model_that_is_not_there(client: OpenAI) -> None:
    """A grader's model that does not exist is a 404, as everywhere."""
    with pytest.raises(openai.NotFoundError) as caught:
        run(client, LABEL | {"model": "tinny"})
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"grader": CHECK}, "model_sample"),
        ({"model_sample": "a"}, "grader"),
        ({"grader": CHECK, "model_sample": "a" * 131_073}, "model_sample"),
        ({"grader": CHECK, "model_sample": "a", "item": [1]}, "item"),
        ({"grader": [CHECK], "model_sample": "a"}, "grader"),
        ({"grader": {"type": "multi", "name": "m", "graders": [CHECK], "calculate_output": "a"}, "model_sample": "a"},
         "grader.graders"),
    ],
)  # fmt: skip
def test_a_request_that_is_wrong(http: httpx.Client, body: Any, param: str) -> None:
    """What is missing, too long or of the wrong type is a 400 that names it."""
    answer = http.post(f"{ALPHA}/run", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_many_graders_at_once(client: OpenAI) -> None:
    """More gradings than run at the same time, each of which asks a model, all come to an end."""
    rewards: list[float] = []

    def ask() -> None:
        rewards.append(run(client, LABEL, "my refund please").reward)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rewards == [1.0] * 20


def test_gradings_leave_threads_to_models(stocked: Home) -> None:
    """A grading does not wait for the thread that it holds itself: one common thread is enough for its model."""
    app = create_app(stocked)

    async def graded() -> httpx.Response:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as inside:
            with anyio.fail_after(20):
                return await inside.post(f"{ALPHA}/run", json={"grader": LABEL, "model_sample": "my refund please"})

    try:
        assert anyio.run(graded).json()["reward"] == 1
    finally:
        app.state.services.ledger.close()


def test_the_page(served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The example of docs/graders.md runs, and the page has the limits of the code."""
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    scope: dict[str, Any] = {}
    exec(block.replace("http://localhost:8000", served.url), scope)
    scope["client"].close()
    assert capsys.readouterr().out == "1.0\n"
    for limit in (limits.MAX_INPUT_CHARS, limits.MAX_FUZZY_CHARS, limits.MAX_GRADED_CHARS, limits.MAX_FORMULA_CHARS):
        assert f"{limit:,} characters" in text
    assert f"1 to {limits.MAX_SUB_GRADERS} `graders`" in text
