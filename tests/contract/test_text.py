"""client.chat.completions and client.responses of text models: written piece by piece, called functions, JSON."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.contract.conftest import refused

from nanosmith.testing.scripted import WORDS

ASKED: Any = [{"role": "user", "content": "go"}]
PARAMETERS: Any = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "weather", "strict": True, "parameters": PARAMETERS}}
FLAT: Any = {"type": "function", "name": "weather", "strict": True, "parameters": PARAMETERS}


class Fox(BaseModel):
    """What the model is asked to write."""

    colour: str
    legs: int


def test_create_a_text(client: OpenAI) -> None:
    """With every parameter that a text model honours."""
    done = client.chat.completions.create(
        model="writer", messages=ASKED, n=2, seed=1, temperature=0.5, top_p=0.9, stop=["zzz"], max_tokens=50,
        max_completion_tokens=5, presence_penalty=0.1, frequency_penalty=0.1, logit_bias={"1": 5}, logprobs=True,
        top_logprobs=3, store=True, metadata={"kind": "text"},
    )  # fmt: skip
    assert [choice.finish_reason for choice in done.choices] == ["length", "length"]
    assert done.choices[0].logprobs is not None
    assert [len(token.top_logprobs) for token in done.choices[0].logprobs.content or ()] == [3] * 5
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (2, 10)
    assert client.chat.completions.retrieve(done.id).choices == done.choices


def test_create_a_text_as_a_stream(client: OpenAI) -> None:
    """Pieces come while the rest is being written; the client puts them together."""
    began, seen = time.monotonic(), []
    for chunk in client.chat.completions.create(
        model="slow", messages=ASKED, temperature=0, max_tokens=100, stream=True
    ):
        seen.append((time.monotonic() - began, chunk.choices[0]))
    assert seen[-1][1].finish_reason == "length"
    assert len({round(at, 2) for at, choice in seen if choice.delta.content}) >= 10
    with client.chat.completions.stream(model="writer", messages=ASKED, temperature=0) as stream:
        assert [event for event in stream if event.type == "content.done"]
        assert stream.get_final_completion().choices[0].message.content == WORDS


def test_parse_a_text(client: OpenAI) -> None:
    """What fits the schema is parsed, and so are the arguments of a call."""
    done = client.chat.completions.parse(model="writer", messages=ASKED, response_format=Fox)
    assert done.choices[0].message.parsed == Fox(colour="word", legs=1)
    called = client.chat.completions.parse(model="writer", messages=ASKED, tools=[TOOL], tool_choice="required")
    assert called.choices[0].message.tool_calls
    assert called.choices[0].message.tool_calls[0].function.parsed_arguments == {"place": "word"}
    loose: Any = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "object"}}}
    with refused(code="invalid_json_schema", param="response_format.json_schema.schema"):
        client.chat.completions.create(model="writer", messages=ASKED, response_format=loose)


def test_stream_a_call(client: OpenAI) -> None:
    """The client puts the arguments of a call together."""
    with client.chat.completions.stream(model="writer", messages=ASKED, tools=[TOOL], tool_choice="required") as stream:
        kinds = {event.type for event in stream}
        done = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    assert done.choices[0].finish_reason == "tool_calls"
    assert json.loads((done.choices[0].message.tool_calls or [])[0].function.arguments) == {"place": "word"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_over_the_limit(client: OpenAI, stream: Any) -> None:
    """A 400 before anything is sent."""
    long: Any = [{"role": "user", "content": "word " * 300}]
    with refused(code="context_length_exceeded", param="messages"):
        client.chat.completions.create(model="writer", messages=long, stream=stream)


def test_respond_with_a_text(client: OpenAI) -> None:
    """At once, as a stream, parsed, and as a call whose result comes back."""
    made = client.responses.create(model="writer", input="go", temperature=0)
    assert (made.output_text, made.status) == (WORDS, "completed")
    with client.responses.stream(model="writer", input="go", temperature=0) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == WORDS
    assert (kinds[0], kinds.count("response.output_text.delta"), kinds[-1]) == (
        "response.created", 9, "response.completed",
    )  # fmt: skip
    assert client.responses.parse(model="writer", input="go", text_format=Fox).output_parsed == Fox(
        colour="word", legs=1
    )
    called: Any = client.responses.create(model="writer", input="go", tools=[FLAT], tool_choice="required").output[0]
    given: Any = [
        called.model_dump(),
        {"type": "function_call_output", "call_id": called.call_id, "output": "say: sun"},
    ]
    assert client.responses.create(model="writer", input=given).output_text == "sun"
    cut = client.responses.create(model="slow", input="go", max_output_tokens=16)
    assert cut.incomplete_details is not None
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
