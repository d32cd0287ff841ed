"""Routes in responses, decisions and batches, and the page of their health."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.conftest import refused
from tests.server.routes.conftest import LONG, TEXT, Routed

from nanosmith.jobs.run import main
from nanosmith.server.batches.lines import opened
from nanosmith.store.records import Document


@pytest.mark.parametrize(
    ("model", "text", "said"), [("sure", "where is my parcel", "delivery"), ("text", "count", TEXT)]
)
def test_responses(client: OpenAI, model: str, text: str, said: str) -> None:
    """A label and a text, at once and as a stream, kept, and gone on with."""
    first = client.responses.create(model=model, input=text, instructions="be brief")
    assert (first.output_text, first.status) == (said, "completed")
    assert first.usage is not None
    assert first.usage.total_tokens > 0
    with client.responses.stream(model=model, input=text, previous_response_id=first.id) as stream:
        types = [event.type for event in stream]
        last = stream.get_final_response()
    assert last.output_text == said
    assert last.usage is not None
    assert last.usage.total_tokens > 0
    assert (types[0], types[-1]) == ("response.created", "response.completed")
    assert client.responses.retrieve(first.id).output_text == said


def test_a_response_that_breaks_does_not_complete(client: OpenAI, routed: Routed) -> None:
    """Its stream ends with an error event."""
    routed.first.set_faults("half=1")
    stream = client.responses.create(model="one", input="count", stream=True)
    types = [event.type for event in stream]
    assert types[-1] == "error"
    assert "response.completed" not in types


def test_responses_tell_headers_and_what_they_ignore(routed: Routed) -> None:
    """As chat completions do; an effort of reasoning is passed on."""
    body = {"model": "text", "input": "count", "reasoning": {"effort": "low"}, "max_tool_calls": 3}
    response = httpx.post(f"{routed.served.url}/v1/responses", json=body)
    assert response.headers["x-nanosmith-step"] == "first/big"
    assert response.headers["x-nanosmith-ignored"] == "max_tool_calls"


def decide(routed: Routed, model: str) -> httpx.Response:
    question = {"type": "predicate", "name": "delivery", "instructions": 'is it "delivery"?'}
    body = {"model": model, "input": "where is my parcel", "questions": [question]}
    return httpx.post(f"{routed.served.url}/v1/decisions", json=body)


def test_decisions(routed: Routed) -> None:
    """Of whoever is sure enough; a route without labels has none."""
    for model, step in (("sure", "tiny"), ("unsure", "first/big")):
        response = decide(routed, model)
        assert response.headers["x-nanosmith-step"] == step
        assert response.json()["answers"][0]["probability"] > 0.3
    refused = decide(routed, "text")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_model")


def test_batches(routed: Routed) -> None:
    """A line of a batch may name a route."""
    from nanosmith.jobs.batches.input import Line

    home = routed.served.services
    body = {"model": "unsure", "messages": [{"role": "user", "content": "where is my parcel"}]}
    row = Document("batch", "batch_1", 0, {"endpoint": "/v1/chat/completions"})
    with opened(home.ledger, home.home, row) as ask:
        answer = ask(Line(1, "a", json.dumps(body).encode())).result(20)
    assert answer.status == 200
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "delivery"


def test_what_the_local_model_does_not_read(client: OpenAI) -> None:
    """With truncation disabled the next step reads it; else the local one answers to what it reads."""
    ask = client.responses.with_raw_response.create
    assert ask(model="sure", input=LONG).headers["x-nanosmith-step"] == "tiny"
    assert ask(model="sure", input=LONG, truncation="disabled").headers["x-nanosmith-step"] == "first/big"


def test_input_tokens(client: OpenAI) -> None:
    """Those that the first local model would read; of remote models alone nobody here can tell."""
    raw = client.responses.input_tokens.with_raw_response.count(model="unsure", input="where is my parcel")
    assert raw.headers["x-nanosmith-step"] == "tiny"
    assert (
        raw.parse().input_tokens
        == client.responses.input_tokens.count(model="tiny", input="where is my parcel").input_tokens
    )
    assert refused(client.responses.input_tokens.count, model="text", input="x").code == "unsupported_model"


def test_embeddings(client: OpenAI) -> None:
    """A route has none, and says whom to ask."""
    error = refused(client.embeddings.create, model="unsure", input="x")
    assert error.code == "unsupported_model"
    assert "tiny, first/big" in error.message


def test_graders(routed: Routed) -> None:
    """A grader may ask a route, at the cost of who asks; a route that fails gives no grade, and says why."""
    item = {"role": "user", "content": "where is my parcel"}
    grader = {
        "type": "label_model", "name": "topic", "model": "unsure", "input": [item], "labels": ["delivery", "refund"],
        "passing_labels": ["delivery"],
    }  # fmt: skip
    url = f"{routed.served.url}/v1/fine_tuning/alpha/graders/run"
    graded = httpx.post(url, json={"grader": grader, "model_sample": "x"}).json()
    assert (graded["reward"], graded["metadata"]["sampled_model_name"]) == (1.0, "first/big")
    assert routed.first.seen()["requests"] == 1
    routed.first.set_faults("500=1")
    failed = httpx.post(url, json={"grader": grader, "model_sample": "x"})
    assert (failed.status_code, failed.json()["error"]["code"]) == (502, "route_failed")


def test_evals(routed: Routed) -> None:
    """An eval run may ask a route: each row is answered by the step that is sure, and none of them is captured."""
    criterion = {
        "type": "string_check", "name": "right", "input": "{{ sample.output_text }}", "reference": "{{ item.label }}",
        "operation": "eq",
    }  # fmt: skip
    schema = {"type": "object", "properties": {"text": {"type": "string"}, "label": {"type": "string"}}}
    rows = [{"item": {"text": text, "label": "delivery"}} for text in ("where is my parcel", "odd")]
    with routed.served.client() as client:
        made = client.evals.create(
            data_source_config={"type": "custom", "item_schema": schema, "include_sample_schema": True},
            testing_criteria=[criterion],  # type: ignore[list-item]
        )
        source: Any = {
            "type": "completions", "model": "unsure", "source": {"type": "file_content", "content": rows},
            "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{ item.text }}"}]},
        }  # fmt: skip
        run = client.evals.runs.create(made.id, data_source=source)
        main(run.id, routed.served.home)
        done = client.evals.runs.retrieve(run.id, eval_id=made.id)
        items = list(client.evals.runs.output_items.list(run.id, eval_id=made.id))
    assert (done.status, done.result_counts.passed, done.result_counts.errored) == ("completed", 1, 1)
    assert [one.run_model_name for one in done.per_model_usage] == ["first/big"]
    assert "no label" in str(items[1].sample.error.message)


def test_a_step_that_is_a_route(client: OpenAI) -> None:
    """Is the operator's mistake, not that of who asks."""
    with pytest.raises(openai.InternalServerError, match="is a route, and a step is a model") as caught:
        client.chat.completions.create(model="wrong", messages=[{"role": "user", "content": "count"}])
    assert (caught.value.status_code, caught.value.code) == (502, "route_failed")


def test_the_page_of_their_health(client: OpenAI, routed: Routed) -> None:
    """A model that is left alone is shown so."""
    routed.first.set_faults("429=1:30")
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="one", messages=[{"role": "user", "content": "count"}])
    page: dict[str, Any] = httpx.get(f"{routed.served.url}/v1/routes").json()
    route = next(one for one in page["data"] if one["name"] == "one")
    assert route["steps"][0]["health"]["state"] == "open"
    assert 25 < route["steps"][0]["health"]["wait_s"] <= 30
    assert page["problem"] is None


def test_a_stream_may_take_its_time_to_be_read(client: OpenAI) -> None:
    """A client that reads slowly gets all of it."""
    text = ""
    for chunk in client.chat.completions.create(
        model="text", messages=[{"role": "user", "content": "count"}], stream=True
    ):
        text += chunk.choices[0].delta.content or ""
        time.sleep(0.01)
    assert text == TEXT
