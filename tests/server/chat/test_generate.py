"""Chat completions of text models with the official client: parameters, streams, cancelling, turns and failures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.server.chat.test_completions import open_stream
from tests.server.conftest import Served, add_writers, refused

from nanosmith.server.http import event_stream
from nanosmith.server.models import writing as turns
from nanosmith.testing.scripted import WORDS, ScriptedGenerator

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"place": {"$ref": "#/$defs/Place"}},
            "required": ["place"],
            "additionalProperties": False,
            "$defs": {"Place": {"type": "string", "enum": ["Bonn", "Oslo"]}},
        },
    },
}
TIME: Any = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}}


class Fox(BaseModel):
    """What a text model is asked to write."""

    colour: Literal["brown", "red"]
    legs: int


def ask(client: OpenAI, text: str = "go", model: str = "writer", **options: Any) -> Any:
    given: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]} | options
    return client.chat.completions.create(**given)


def joined(chunks: list[Any], index: int = 0) -> str:
    return "".join(one.delta.content or "" for chunk in chunks for one in chunk.choices if one.index == index)


def test_an_answer(writers: OpenAI) -> None:
    """The text, why it ended, and what was read, from a cache or not, and written."""
    done = ask(writers, "one two three", temperature=0)
    choice, usage = done.choices[0], done.usage
    assert (choice.message.content, choice.finish_reason, choice.logprobs) == (WORDS, "stop", None)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (4, 9, 13)
    again = ask(writers, "one two four", temperature=0)
    assert again.usage.prompt_tokens_details.cached_tokens == 3


def test_max_tokens(writers: OpenAI) -> None:
    """A text that is cut says so; the newer name wins."""
    done = ask(writers, temperature=0, max_tokens=8, max_completion_tokens=2)
    assert (done.choices[0].message.content, done.choices[0].finish_reason) == ("the quick", "length")
    assert ask(writers, temperature=0, max_tokens=3).choices[0].message.content == "the quick brown"


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_sequence_over_the_borders_of_pieces(writers: OpenAI, stream: bool) -> None:
    """The text ends before it, and nothing of it is ever sent."""
    made = ask(writers, temperature=0, stop=["fox ju", "dog"], stream=stream)
    text = joined(list(made)) if stream else made.choices[0].message.content
    assert text == "the quick brown "


def test_choices_with_a_seed(writers: OpenAI) -> None:
    """Each choice has a seed of its own, and all come again; the first one is that of a single choice."""
    first, second = (ask(writers, n=3, seed=5) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert [choice.message.content for choice in second.choices] == texts
    assert len(set(texts)) == 3
    assert ask(writers, seed=5).choices[0].message.content == texts[0]
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (2, 27)


def test_logprobs(writers: OpenAI) -> None:
    """Each token has its own, in the client's types, streamed or not; `top_logprobs` is empty when not asked for."""
    done = ask(writers, temperature=0, logprobs=True, top_logprobs=2, max_tokens=2)
    content = done.choices[0].logprobs.content
    assert [(row.token, bytes(row.bytes), row.logprob) for row in content] == [
        ("the", b"the", -0.5),
        (" quick", b" quick", -0.5),
    ]
    assert [row.token for row in content[1].top_logprobs] == [" quick", " quick1"]
    chunks = list(ask(writers, temperature=0, logprobs=True, max_tokens=2, stream=True))
    told = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    streamed = [row for one in told for row in one.content]
    assert [row.token for row in streamed] == ["the", " quick"]
    assert streamed[0].top_logprobs == []


def test_logit_bias(writers: OpenAI) -> None:
    """Token ids are those of the model; others are refused."""
    assert (
        ask(writers, temperature=0, logit_bias={"0": -100}).choices[0].message.content
        == "quick brown fox jumps over lazy dog"
    )
    for bias in ({"9999": 1}, {"fox": 1}, {"-1": 1}):
        error = refused(ask, writers, logit_bias=bias)
        assert error.param == "logit_bias"


def test_a_stream(writers: OpenAI) -> None:
    """The role first, real pieces, the reason alone, the usage last."""
    *chunks, last = list(ask(writers, temperature=0, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0].delta.content for chunk in chunks[1:-1]]
    assert (len(pieces), "".join(pieces)) == (9, WORDS)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 10 + ["stop"]
    assert (last.choices, last.usage.completion_tokens) == ([], 9)
    chunks = list(ask(writers, n=2, stream=True, seed=1))
    assert joined(chunks, 1) == ask(writers, n=2, seed=1).choices[1].message.content


def test_the_header_of_ignored_parameters(writers: OpenAI) -> None:
    """What a text model honours is not in it."""
    raw = writers.chat.completions.with_raw_response.create(
        model="writer", messages=[{"role": "user", "content": "go"}], temperature=0.5, top_p=0.9, seed=1,
        presence_penalty=0.1, frequency_penalty=0.1, logit_bias={"1": 5}, max_tokens=5, stop=["x"],
    )  # fmt: skip
    assert "x-nanosmith-ignored" not in raw.headers
    raw = writers.chat.completions.with_raw_response.create(
        model="writer", messages=[{"role": "user", "content": "go"}], verbosity="low", user="u", service_tier="flex"
    )
    assert raw.headers["x-nanosmith-ignored"] == "verbosity, service_tier, user"


def test_a_prompt_over_the_limit(writers: OpenAI) -> None:
    """A 400 with OpenAI's code, streamed or not."""
    for stream in (False, True):
        error = refused(ask, writers, "word " * 300, stream=stream)
        assert (error.code, error.param) == ("context_length_exceeded", "messages")


def test_json(writers: OpenAI) -> None:
    """A strict schema is obeyed, and the client parses what comes."""
    done = writers.chat.completions.parse(
        model="writer", messages=[{"role": "user", "content": "go"}], response_format=Fox
    )
    assert done.choices[0].message.parsed == Fox(colour="brown", legs=1)
    anything = ask(writers, response_format={"type": "json_object"}).choices[0].message.content
    assert isinstance(json.loads(anything), dict)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "array", "items": {"type": "string"}}, "got 'type: 'array''"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, "'additionalProperties'"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}, "Missing 'a'"),
    ],
)
def test_strict_demands_its_subset(writers: OpenAI, schema: dict[str, Any], said: str) -> None:
    """The error is OpenAI's; without strict the same schema is used as it is."""
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    error = refused(ask, writers, response_format=form)
    assert said in str(error)
    assert "Invalid schema for response_format 'x'" in str(error)
    assert (error.param, error.code) == ("response_format.json_schema.schema", "invalid_json_schema")
    form["json_schema"]["strict"] = False
    json.loads(ask(writers, response_format=form).choices[0].message.content)


def test_tools(writers: OpenAI) -> None:
    """`required` and a name force a call whose arguments fit; `auto` leaves it to the model, `none` forbids it."""
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        done = ask(writers, tools=[WEATHER, TIME], tool_choice=choice).choices[0]
        (call,) = done.message.tool_calls
        assert (done.finish_reason, done.message.content, call.type) == ("tool_calls", None, "function")
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"place": "Bonn"})
    assert ask(writers, "call it", tools=[TIME]).choices[0].message.tool_calls[0].function.name == "time"
    for options in ({"tools": [TIME]}, {"tools": [TIME], "tool_choice": "none"}):
        done = ask(writers, temperature=0, **options).choices[0]
        assert (done.message.content, done.message.tool_calls, done.finish_reason) == (WORDS, None, "stop")
    one = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "time"}}]}}  # fmt: skip  # noqa: E501
    assert ask(writers, tools=[WEATHER, TIME], tool_choice=one).choices[0].message.tool_calls[0].function.name == "time"


def test_a_streamed_call(writers: OpenAI) -> None:
    """Id and name come once, the arguments in pieces; the client puts them together."""
    chunks = list(ask(writers, tools=[WEATHER], tool_choice="required", stream=True))
    calls = [chunk.choices[0].delta.tool_calls[0] for chunk in chunks if chunk.choices[0].delta.tool_calls]
    assert [bool(call.id) for call in calls] == [True] + [False] * (len(calls) - 1)
    assert json.loads("".join(call.function.arguments for call in calls)) == {"place": "Bonn"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert joined(chunks) == ""


def test_a_tools_answer_is_read(writers: OpenAI) -> None:
    """The call and what it gave are part of the prompt."""
    call = ask(writers, tools=[WEATHER], tool_choice="required").choices[0].message
    result = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "say: sunny in Bonn"}
    history = [{"role": "user", "content": "go"}, call.model_dump(exclude_none=True), result]
    assert ask(writers, messages=history).choices[0].message.content == "sunny in Bonn"


def test_what_is_wrong_with_tools(writers: OpenAI) -> None:
    """A wrong choice, a schema that is not strict, a type that nobody here runs: each is named."""
    loose = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object"}}}
    named = {"type": "function", "function": {"name": "unheard"}}
    for options, param in (
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TIME], "tool_choice": named}, "tool_choice"),
        ({"tools": [loose]}, "tools[0].function.parameters"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"nanosmith": {"explain": True}}, "nanosmith.explain"),
    ):
        given = {"extra_body": options} if "nanosmith" in options else options
        assert refused(ask, writers, **given).param == param


def test_stored(writers: OpenAI) -> None:
    """A text is kept before its end is told, whole, also when it came as a stream; a repetition gets the same again."""
    chunks = list(ask(writers, seed=3, stream=True, store=True, metadata={"a": "b"}))
    kept = writers.chat.completions.retrieve(chunks[0].id)
    assert (kept.choices[0].message.content, kept.metadata) == (joined(chunks), {"a": "b"})
    again: dict[str, Any] = {"store": True, "extra_headers": {"idempotency-key": "text-1"}}
    first, second = (ask(writers, **again) for _ in range(2))
    assert (first.id, first.choices) == (second.id, second.choices)
    key: dict[str, Any] = {"store": True, "stream": True, "extra_headers": {"idempotency-key": "text-2"}}
    one, other = (list(ask(writers, **key)) for _ in range(2))
    assert (one[0].id, joined(one)) == (other[0].id, joined(other))


def first_token_s(client: OpenAI, **options: Any) -> float:
    """How long the first piece takes."""
    began = time.monotonic()
    with ask(client, stream=True, **options) as stream:
        next(iter(stream))
    return time.monotonic() - began


def desk_of(served: Served, name: str) -> Any:
    return next(model.desk for key, model in served.services.shared.opened.by_key.items() if key[1] == name)


@pytest.fixture
def one_place(writing: Served, writers: OpenAI) -> Iterator[None]:
    """The slow model writes one text at a time."""
    ask(writers, model="slow", max_tokens=1)
    desk = desk_of(writing, "slow")
    taken = turns.MAX_WRITERS - 1
    for _ in range(taken):
        desk._places._value -= 1
    yield
    desk._places._value += taken


@pytest.mark.usefixtures("one_place")
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_the_place(writing: Served, writers: OpenAI, stream: bool) -> None:
    """Within 200 ms the next one writes, whether the first was streamed or not."""
    desk = desk_of(writing, "slow")
    with open_stream(writing, model="slow", stream=stream) as connection:
        if stream:
            assert connection.recv(1024)
        while not desk._places.locked():
            time.sleep(0.005)
        time.sleep(0.1)
    began = time.monotonic()
    while desk._places.locked():
        assert time.monotonic() - began < 0.2
        time.sleep(0.002)
    assert first_token_s(writers, model="slow") < 5


def test_two_streams_go_on_together(writers: OpenAI) -> None:
    """Neither waits for the other: their pieces come in turns."""
    order: list[str] = []

    def read(text: str) -> None:
        for chunk in ask(writers, f"say: {' '.join([text] * 40)}", model="slow", stream=True):
            order.append((chunk.choices[0].delta.content or "").strip())

    threads = [threading.Thread(target=read, args=(text,)) for text in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = [text for text in order if text]
    assert sorted(said) == ["a"] * 40 + ["b"] * 40
    both = range(max(said.index("a"), said.index("b")), 80 - max(said[::-1].index("a"), said[::-1].index("b")))
    assert sum(said[i] != said[i - 1] for i in both) > len(both) / 8


@pytest.mark.usefixtures("one_place")
def test_too_many_texts(writing: Served, writers: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond the queue, and those that wait too long, are told to come back."""
    monkeypatch.setattr(turns, "MAX_WAITING_WRITERS", 0)
    with ask(writers, model="slow", stream=True) as stream:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError, match="too many texts") as caught:
            ask(writers, model="slow", stream=True)
        assert caught.value.response.headers["retry-after"] == "1"
        monkeypatch.setattr(turns, "MAX_WAITING_WRITERS", 5)
        monkeypatch.setattr(turns, "MAX_WRITER_WAIT_S", 0.05)
        with pytest.raises(openai.RateLimitError, match="waited"):
            ask(writers, model="slow")


def raw_lines(served: Served, **options: Any) -> list[str]:
    """The events of a stream, as they stand on the wire."""
    asked = {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "go"}]} | options
    with httpx.stream("POST", f"{served.url}/v1/chat/completions", json=asked, timeout=20) as response:
        return [line for line in response.iter_lines() if line]


def test_a_failure_in_the_middle(writing: Served, writers: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client raises, as an error is the last event and `[DONE]` does not come."""
    real = ScriptedGenerator.generate

    def breaking(*given: Any) -> Any:
        for i, piece in enumerate(real(*given)):
            if i == 3:
                raise RuntimeError("broken")
            yield piece

    assert raw_lines(writing, max_tokens=2)[-1] == "data: [DONE]"
    monkeypatch.setattr(ScriptedGenerator, "generate", breaking)
    lines = raw_lines(writing)
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "internal_error"
    assert "data: [DONE]" not in lines
    with pytest.raises(openai.APIError, match="failed on the server"):
        list(ask(writers, model="slow", stream=True))
    with pytest.raises(openai.InternalServerError):
        ask(writers, model="slow")


def test_a_text_that_takes_too_long(writing: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with an error, not as if it were whole."""
    monkeypatch.setattr(turns, "MAX_WRITING_S", 0.1)
    lines = raw_lines(writing)
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "timeout"


def test_a_server_that_stops(start: Any, home: Any) -> None:
    """A stream under way ends with an error that says so, and who waits for a whole text is told to come back."""
    add_writers(home)
    lines: list[str] = []
    errors: list[openai.APIStatusError] = []
    with start(home) as served:
        client = served.client()

        def wait() -> None:
            with pytest.raises(openai.InternalServerError) as caught:
                ask(client, model="slow")
            errors.append(caught.value)

        reading = threading.Thread(target=lambda: lines.extend(raw_lines(served)))
        waiting = threading.Thread(target=wait)
        reading.start()
        waiting.start()
        while not served.services.shared.opened.by_key:
            time.sleep(0.01)
        time.sleep(0.3)
    reading.join(10)
    waiting.join(10)
    client.close()
    assert (errors[0].status_code, errors[0].code) == (503, "try_again")
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["message"] == event_stream.STOPPING


def test_a_grader_asks_a_text_model(writers: OpenAI) -> None:
    """Its text is the score."""
    grader: Any = {
        "type": "score_model", "name": "stars", "model": "writer", "range": [0, 5],
        "input": [{"role": "user", "content": "say: {{ sample.output_text }}"}],
    }  # fmt: skip
    graded = writers.fine_tuning.alpha.graders.run(grader=grader, model_sample="4")
    assert (graded.reward, graded.metadata.sampled_model_name) == (4, "writer")
