"""Responses of text models with the official client: texts, calls, streams, what is kept."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.server.conftest import Served, add_writers, refused

from nanosmith.testing.scripted import WORDS, ScriptedGenerator

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
        "additionalProperties": False,
    },
}


class Fox(BaseModel):
    """What a text model is asked to write."""

    legs: int


def ask(client: OpenAI, text: Any = "go", model: str = "writer", **options: Any) -> Any:
    return client.responses.create(**{"model": model, "input": text} | options)


def test_a_text(writers: OpenAI) -> None:
    """It is kept whole, with its usage, and the next one goes on from it."""
    made = ask(writers, "one two", temperature=0)
    assert (made.output_text, made.status) == (WORDS, "completed")
    assert (made.usage.input_tokens, made.usage.output_tokens) == (3, 9)
    assert writers.responses.retrieve(made.id).output_text == WORDS
    more = ask(writers, "more", previous_response_id=made.id, instructions="Be short.")
    assert more.usage.input_tokens == 3 + 10 + 2 + 3
    assert writers.responses.input_tokens.count(model="writer", input="one two").input_tokens == 3


def test_a_text_that_is_cut(writers: OpenAI) -> None:
    """It is incomplete, streamed or not, and says why."""
    long = "say: " + " ".join("a" * 30)
    made = ask(writers, long, max_output_tokens=16)
    assert (made.status, made.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert made.output[0].status == "incomplete"
    *_, last = ask(writers, long, max_output_tokens=16, stream=True)
    assert (last.type, last.response.incomplete_details.reason) == ("response.incomplete", "max_output_tokens")


def test_a_stream(writers: OpenAI) -> None:
    """OpenAI's events in their order, numbered, with the text in real pieces and their log-probabilities."""
    events = list(ask(writers, temperature=0, stream=True, include=["message.output_text.logprobs"], top_logprobs=2))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in deltas) == WORDS
    assert [event.logprobs[0].token for event in deltas][:2] == ["the", " quick"]
    assert [event.type.removeprefix("response.") for event in events if event not in deltas] == [
        "created", "in_progress", "output_item.added", "content_part.added",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert events[-1].response.output[0].content[0].text == WORDS
    with writers.responses.stream(model="writer", input="go", temperature=0) as stream:
        assert stream.get_final_response().output_text == WORDS


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "weather"}])
def test_a_call(writers: OpenAI, choice: Any) -> None:
    """An item with arguments that fit, streamed or not; what it gave is read."""
    made = ask(writers, tools=[WEATHER], tool_choice=choice)
    (call,) = made.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", {"place": "word"})
    events = list(ask(writers, tools=[WEATHER], tool_choice=choice, stream=True))
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert json.loads("".join(pieces)) == {"place": "word"}
    assert events[-1].response.output[0].arguments == "".join(pieces)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "say: sunny"}
    assert ask(writers, [output], previous_response_id=made.id).output_text == "sunny"


def test_json(writers: OpenAI) -> None:
    """The client parses what a strict format gives."""
    assert writers.responses.parse(model="writer", input="go", text_format=Fox).output_parsed == Fox(legs=1)


def test_errors_name_the_fields_of_a_response(writers: OpenAI) -> None:
    """Not those of a chat completion, from which the answer is made."""
    loose = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"format": {"type": "json_schema", "name": "x", "schema": loose, "strict": True}}
    for options, param, code in (
        ({"text": "word " * 300}, "input", "context_length_exceeded"),
        ({"tools": [WEATHER | {"parameters": loose}]}, "tools[0].parameters", "invalid_function_parameters"),
        ({"tool_choice": "required"}, "tool_choice", "unsupported_parameter"),
    ):
        error = refused(ask, writers, **options)
        assert (error.param, error.code) == (param, code)
    error = refused(writers.responses.create, model="writer", input="go", text=form)
    assert (error.param, error.code) == ("text.format.schema", "invalid_json_schema")


def test_the_header_of_ignored_parameters(writers: OpenAI) -> None:
    """What a text model honours is not in it."""
    raw = writers.responses.with_raw_response.create(
        model="writer", input="go", temperature=0.5, top_p=0.5, max_output_tokens=16, truncation="auto"
    )
    assert raw.headers["x-nanosmith-ignored"] == "truncation"


def test_a_repetition_gets_the_same(writers: OpenAI) -> None:
    """Also as a stream."""
    key = {"extra_headers": {"idempotency-key": "response-1"}}
    assert ask(writers, **key).output == ask(writers, **key).output
    key = {"extra_headers": {"idempotency-key": "response-2"}, "stream": True}
    first, second = (list(ask(writers, **key))[-1].response for _ in range(2))
    assert (first.id, first.output_text) == (second.id, second.output_text)


def raw_events(served: Served) -> list[dict[str, Any]]:
    asked = {"model": "slow", "input": "go", "stream": True}
    with httpx.stream("POST", f"{served.url}/v1/responses", json=asked, timeout=20) as response:
        return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def test_a_failure_in_the_middle(start: Any, home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last event is an error with the next number; so it is when the server stops. Nothing is kept."""
    real = ScriptedGenerator.generate

    def breaking(*given: Any) -> Any:
        for i, piece in enumerate(real(*given)):
            if i == 3:
                raise RuntimeError("broken")
            yield piece

    monkeypatch.setattr(ScriptedGenerator, "generate", breaking)
    add_writers(home)
    with start(home) as served:
        events = raw_events(served)
        assert (events[-1]["type"], events[-1]["sequence_number"]) == ("error", len(events) - 1)
        assert served.services.ledger.document("response", events[0]["response"]["id"]) is None
