"""Routes in responses, decisions and batches, and the page of their health."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.routes.conftest import TEXT, Routed

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
