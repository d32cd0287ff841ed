"""Chat completions with the official client: shapes, logprobs, streams, and every parameter's fate."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.server.conftest import LABELS, refused

from nanosmith.core.limits import MAX_INPUT_CHARS
from nanosmith.server.chat import completions as chat
from nanosmith.server.chat.completions import events
from nanosmith.server.models import cache as models_cache
from nanosmith.server.models.cache import OpenModel

TUNED = "ft:nanosmith-nano:local:support:abcd1234"


def ask(client: OpenAI, text: str = "my refund please", model: str = "tiny", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **options)


@pytest.mark.parametrize("label", LABELS)
def test_the_answer_is_the_label(client: OpenAI, label: str) -> None:
    """The content is the label; the object has OpenAI's fields with a reason, usage and fingerprint."""
    done = ask(client, f"about my {label}")
    assert done.choices[0].message.content == label
    assert (done.choices[0].finish_reason, done.choices[0].message.refusal, done.choices[0].logprobs) == (
        "stop",
        None,
        None,
    )
    assert done.id.startswith("chatcmpl-")
    assert done.system_fingerprint.startswith("fp_")
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (3, 1, 4)
    assert done.usage.prompt_tokens_details.cached_tokens == 0
    assert done.usage.prompt_tokens_details.cache_write_tokens == 0
    assert done.usage.completion_tokens_details.reasoning_tokens == 0


@pytest.mark.parametrize("name", [TUNED, f"{TUNED}:ckpt-step-20", "org/model:v1"])
def test_any_model_name_works_verbatim(client: OpenAI, name: str) -> None:
    """Fine-tuned names, checkpoints and names with a slash are asked and named in the answer as they are."""
    assert ask(client, model=name).model == name


def test_an_unknown_model_is_a_404_with_near_names(client: OpenAI) -> None:
    """The error is model_not_found, names the near ones and points to the parameter."""
    with pytest.raises(openai.NotFoundError, match="Did you mean tiny") as caught:
        ask(client, model="tinny")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError, match="base model"):
        ask(client, model="nanosmith-nano")


def test_logprobs_are_those_of_the_labels(client: OpenAI) -> None:
    """The answer is one token with its bytes; the labels beside it are sorted, and all together sum to one."""
    content = ask(client, logprobs=True, top_logprobs=20).choices[0].logprobs.content
    assert len(content) == 1
    assert (content[0].token, bytes(content[0].bytes)) == ("refund", b"refund")
    beside = content[0].top_logprobs
    assert beside[0].token == "refund"
    assert {row.token for row in beside} == set(LABELS)
    assert [row.logprob for row in beside] == sorted((row.logprob for row in beside), reverse=True)
    assert sum(math.exp(row.logprob) for row in beside) == pytest.approx(1, abs=1e-5)
    assert beside[0].logprob == content[0].logprob


def test_top_logprobs_is_a_list_when_not_asked_for(client: OpenAI) -> None:
    """With logprobs alone, top_logprobs is there and empty; it is cut to the number asked for."""
    assert ask(client, logprobs=True).choices[0].logprobs.content[0].top_logprobs == []
    assert len(ask(client, logprobs=True, top_logprobs=2).choices[0].logprobs.content[0].top_logprobs) == 2


def test_a_set_of_labels_is_a_json_list(client: OpenAI) -> None:
    """A labels model answers with its list; the token's probability is the set's, each label beside has its own."""
    done = ask(client, "refund and login", "tags", logprobs=True, top_logprobs=3)
    assert json.loads(done.choices[0].message.content) == ["login", "refund"]
    token = done.choices[0].logprobs.content[0]
    assert token.token == done.choices[0].message.content
    own = {row.token: math.exp(row.logprob) for row in token.top_logprobs}
    expected = own["login"] * own["refund"] * (1 - own["delivery"])
    assert math.exp(token.logprob) == pytest.approx(expected, rel=1e-5)


def test_n_gives_equal_choices(client: OpenAI) -> None:
    """A classifier has one answer, so n choices are n times the same."""
    done = ask(client, n=3)
    assert [(c.index, c.message.content) for c in done.choices] == [(0, "refund"), (1, "refund"), (2, "refund")]
    assert done.usage.completion_tokens == 3


@pytest.mark.parametrize("n", [1, 2])
def test_a_stream_is_the_same_answer(client: OpenAI, n: int) -> None:
    """Role first, content next, an empty delta with the reason last; no reason before; one usage chunk at the end."""
    options = {"stream": True, "stream_options": {"include_usage": True}, "logprobs": True, "n": n}
    chunks = list(ask(client, **options))
    for index in range(n):
        mine = [c for c in chunks if c.choices and c.choices[0].index == index]
        assert mine[0].choices[0].delta.role == "assistant"
        assert "".join(c.choices[0].delta.content or "" for c in mine) == "refund"
        assert [c.choices[0].finish_reason for c in mine] == [None] * (len(mine) - 1) + ["stop"]
        assert mine[-1].choices[0].delta.model_dump(exclude_none=True) == {}
        assert mine[1].choices[0].logprobs.content[0].token == "refund"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == n
    assert all(c.usage is None for c in chunks[:-1])
    assert len({(c.id, c.created, c.model) for c in chunks}) == 1


def test_the_bytes_of_a_stream(http: httpx.Client) -> None:
    """Server-sent events: data lines, a null reason, and [DONE]; without include_usage there is no usage at all."""
    body = {"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "login"}]}
    response = http.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-request-id"]
    blocks = response.text.split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    parts = [json.loads(block.removeprefix("data: ")) for block in blocks[:-2]]
    assert parts[0]["choices"][0]["finish_reason"] is None
    assert parts[-1]["choices"][0]["delta"] == {}
    assert not any("usage" in part for part in parts)


def test_a_failure_in_a_stream_is_told(served: Any) -> None:
    """What breaks after the first byte is sent as an error event, and the stream does not claim to be whole."""

    def broken() -> Any:
        yield {"fine": 1}
        raise RuntimeError("secret")

    async def collect() -> bytes:
        return b"".join([part async for part in events(broken())])

    sent = asyncio.run(collect())
    assert b'data: {"error":{"message"' in sent
    assert b"[DONE]" not in sent
    assert b"secret" not in sent


def test_a_failing_stream_raises_in_the_client(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in the middle reaches the client as an error after the chunks before it; the next request is served."""

    def broken(answer: chat.Answer) -> Iterator[dict[str, Any]]:
        yield from itertools.islice(chat_chunks(answer), 2)
        raise RuntimeError("secret")

    chat_chunks = chat.chunks
    seen = []
    with fresh.client() as client:
        monkeypatch.setattr(chat, "chunks", broken)
        with pytest.raises(openai.APIError, match="The stream failed") as caught:
            seen.extend(ask(client, stream=True))
        assert "secret" not in str(caught.value)
        assert [c.choices[0].delta.content for c in seen] == ["", "refund"]
        monkeypatch.undo()
        assert len(list(ask(client, stream=True))) == 3
    assert fresh.services.shared.opened.waiting == 0


def test_a_stream_that_is_cut_ends_on_the_server(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a client goes away in the middle of a stream, the stream ends; nothing of it stays, and the next request is
    served."""
    ended = threading.Event()

    def long(_answer: chat.Answer) -> Iterator[dict[str, Any]]:
        try:
            for _ in range(1000):
                yield {"filler": "x" * 100_000}
        finally:
            ended.set()

    with fresh.client() as client:
        monkeypatch.setattr(chat, "chunks", long)
        with open_stream(fresh) as cut:
            assert b"200" in cut.recv(1000)
            assert not ended.wait(0.2), "the stream does not wait for its reader"
        assert ended.wait(5)
        monkeypatch.undo()
        assert ask(client).choices[0].message.content == "refund"
    assert fresh.services.shared.opened.waiting == 0


def test_a_stream_that_is_cut_frees_its_place_in_the_queue(fresh: Any, queueing: None) -> None:
    """A client that goes away before its stream begins leaves the queue at once, while the model is still busy with
    another request, which is answered."""
    opened = fresh.services.shared.opened
    with fresh.client() as client, ThreadPoolExecutor(1) as thread:
        ask(client)
        (model,) = opened.by_key.values()
        with held(model) as release:
            first = thread.submit(ask, client, "about my login")
            eventually(lambda: opened.waiting == 1)
            with open_stream(fresh):
                eventually(lambda: opened.waiting == 2)
            eventually(lambda: opened.waiting == 1)
            assert not first.done()
            release()
            assert first.result(20).choices[0].message.content == "login"
        assert ask(client).choices[0].message.content == "refund"
    assert opened.waiting == 0


def test_a_client_that_leaves_while_a_model_opens_closes_nothing(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is cut while its model is being opened gives its place back; the model opens for who comes next."""
    opened, go_on = fresh.services.shared.opened, threading.Event()
    real = models_cache.open_bundle

    def slowly(folder: Path) -> Any:
        assert go_on.wait(20)
        return real(folder)

    monkeypatch.setattr(models_cache, "open_bundle", slowly)
    with open_stream(fresh):
        eventually(lambda: opened.waiting == 1)
    eventually(lambda: opened.waiting == 0)
    (model,) = opened.by_key.values()
    go_on.set()
    with fresh.client() as client:
        assert ask(client).choices[0].message.content == "refund"
    assert list(opened.by_key.values()) == [model]


@contextmanager
def open_stream(served: Any, **options: Any) -> Iterator[socket.socket]:
    """A request for a stream over a bare connection, which is broken off at the end."""
    asked = {"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "my refund"}]} | options
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as connection:
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        yield connection


@contextmanager
def held(model: OpenModel) -> Iterator[Callable[[], None]]:
    """A model that answers nothing until the function is called, or the block ends."""
    real, gate = model.predictor, threading.Event()

    class Held:
        def predict(self, given: Any) -> Any:
            assert gate.wait(20)
            return real.predict(given)

    model.predictor = Held()  # type: ignore[assignment]
    try:
        yield gate.set
    finally:
        gate.set()
        model.predictor = real


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds; it should take well under a second, and fails after five."""
    until = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_errors_before_a_stream_are_plain(client: OpenAI) -> None:
    """A stream for a model that is not there is an HTTP error, not a stream."""
    with pytest.raises(openai.NotFoundError):
        ask(client, model="none", stream=True)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("temperature", (-0.1, 2.1, "hot")), ("top_p", (-0.1, 1.1)), ("presence_penalty", (-2.1, 2.1)),
        ("frequency_penalty", (-2.1, 2.1)), ("n", (0, 129, 1.5)), ("top_logprobs", (-1, 21)), ("seed", ("a",)),
        ("stop", (["a"] * 5, 3)), ("max_tokens", (0,)), ("max_completion_tokens", (0, -1)),
        ("logit_bias", ({"1": 101}, {"1": -101})), ("reasoning_effort", ("extreme",)), ("messages", ([],)),
        ("safety_identifier", ("x" * 65,)), ("metadata", ({str(i): "" for i in range(17)}, {"a": "x" * 513})),
        ("stream", ("yes",)), ("model", ("", 3)), ("verbosity", ("loud",)),
    ],
)  # fmt: skip
def test_ranges(client: OpenAI, name: str, values: tuple[Any, ...]) -> None:
    """A value outside of its range is a 400 that names the parameter."""
    good = {"model": "tiny", "messages": [{"role": "user", "content": "x"}]}
    for value in values:
        with pytest.raises(openai.BadRequestError) as caught:
            client.post("/chat/completions", body=good | {name: value}, cast_to=object)
        assert (caught.value.param or "").startswith(name), value


def test_ignored_parameters_are_listed(client: OpenAI) -> None:
    """What changes nothing is accepted and named in a header, unknown fields too; neutral values are not named."""

    def listed(**options: Any) -> str | None:
        raw = client.chat.completions.with_raw_response.create(
            model="tiny", messages=[{"role": "user", "content": "refund"}], **options
        )
        assert raw.parse().choices[0].message.content == "refund"
        return raw.headers.get("x-nanosmith-ignored")

    assert listed(temperature=0.7, stop="\n", max_tokens=1, user="me", logit_bias={"5": 1}) == (
        "temperature, logit_bias, user"
    )
    assert listed(extra_body={"brand_new": 1, "bad\r\nname": 2}) == "brand_new"
    assert listed(temperature=0, top_p=1, n=1, seed=5, presence_penalty=0, service_tier="auto", store=False) is None


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"audio": {"voice": "ash", "format": "mp3"}, "modalities": ["text", "audio"]}, "audio"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
def test_what_a_classifier_cannot_do_is_refused(client: OpenAI, options: dict[str, Any], param: str) -> None:
    """Tools, audio, search, metadata alone, and formats that the model does not have are refused by name."""
    assert refused(ask, client, **options).param == param


def test_harmless_forms_are_accepted(client: OpenAI) -> None:
    """Tools that must not be used, text as the format and as the only modality are fine."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    done = ask(client, tools=tools, tool_choice="none", response_format={"type": "text"}, modalities=["text"])
    assert done.choices[0].message.content == "refund"


def test_json_object_where_the_answers_are_objects(client: OpenAI) -> None:
    """A model trained on JSON objects keeps answering them."""
    done = ask(client, model="field", response_format={"type": "json_object"})
    assert json.loads(done.choices[0].message.content) == {"intent": "refund"}
    with pytest.raises(openai.BadRequestError):
        ask(client, model="tags", response_format={"type": "json_object"})


def test_parse_with_a_schema_that_all_labels_fit(client: OpenAI) -> None:
    """The client's parse() works where every label of the model is valid, and is refused where one is not."""

    class Good(BaseModel):
        intent: Literal["delivery", "login", "refund", "other"]

    class Narrow(BaseModel):
        intent: Literal["delivery", "login"]

    messages: Any = [{"role": "user", "content": "refund"}]
    done = client.chat.completions.parse(model="field", messages=messages, response_format=Good)
    assert done.choices[0].message.parsed == Good(intent="refund")
    with pytest.raises(openai.BadRequestError, match="refund") as caught:
        client.chat.completions.parse(model="field", messages=messages, response_format=Narrow)
    assert caught.value.param == "response_format.json_schema.schema"


def test_messages_as_parts_and_all_roles(client: OpenAI) -> None:
    """Text parts are joined; developer, tool and assistant turns are read; an assistant may have no content."""
    messages: Any = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "my"}, {"type": "text", "text": "refund"}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ]  # fmt: skip
    done = client.chat.completions.create(model="tiny", messages=messages)
    assert done.choices[0].message.content == "refund"


@pytest.mark.parametrize(
    "content",
    [None, [{"type": "image_url", "image_url": {"url": "data:"}}], [{"type": "input_audio"}], [{"type": "text"}], 3],
)
def test_content_that_is_not_text_is_refused(client: OpenAI, content: Any) -> None:
    """Images, audio and missing text are a 400 at the message's content."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": content}])
    assert (caught.value.param or "").startswith("messages[0].content")


def test_too_long_input(client: OpenAI) -> None:
    """Above the limit of characters the error is context_length_exceeded, with got and allowed."""
    error = refused(ask, client, text="x" * (MAX_INPUT_CHARS + 1))
    assert error.code == "context_length_exceeded"
    assert str(MAX_INPUT_CHARS + 1) in error.message
    assert str(MAX_INPUT_CHARS) in error.message


def test_long_input_is_said_to_be_cut(client: OpenAI) -> None:
    """Within the limit, what a model does not read of an input is told in a header."""
    create = client.chat.completions.with_raw_response.create
    raw = create(model="tiny", messages=[{"role": "user", "content": "refund " * 90}])
    assert raw.headers["x-nanosmith-truncated"] == "read 64 of about 90 tokens"
    assert "x-nanosmith-truncated" not in create(model="tiny", messages=[{"role": "user", "content": "x"}]).headers


def test_uncalibrated_probabilities_are_said_to_be(client: OpenAI) -> None:
    """A model that was never calibrated says so in a header; another does not."""
    create = client.chat.completions.with_raw_response.create
    messages: Any = [{"role": "user", "content": "refund"}]
    assert create(model="raw", messages=messages).headers["x-nanosmith-uncalibrated"] == "true"
    assert "x-nanosmith-uncalibrated" not in create(model="tiny", messages=messages).headers


@pytest.mark.parametrize("text", ["", " ", "\x00", "🎈" * 50, "مرحبا", "a\u0301\u202e", "\ufeff\n\n"])
def test_strange_texts_are_answered(client: OpenAI, text: str) -> None:
    """Empty and unusual texts get some label."""
    assert ask(client, text).choices[0].message.content in LABELS


def test_a_hundred_at_once(client: OpenAI) -> None:
    """Parallel requests over several models get the answers of their own texts."""
    asked = [(LABELS[i % 3], ("tiny", "org/model:v1", TUNED, "field", "tags")[i % 5]) for i in range(100)]
    with ThreadPoolExecutor(25) as threads:
        answers = threads.map(lambda one: ask(client, f"my {one[0]}", one[1]).choices[0].message.content, asked)
    for (label, model), answer in zip(asked, answers, strict=True):
        expected = {"field": {"intent": label}, "tags": [label]}.get(model)
        assert (json.loads(answer) if expected else answer) == (expected or label)


def test_only_some_models_stay_open(served: Any, client: OpenAI) -> None:
    """More models than are kept open can be asked in turn; the cache keeps its bound."""
    for name in ("tiny", "tags", "field", "stars", "truth", "org/model:v1", "tiny"):
        ask(client, model=name)
    assert len(served.services.shared.opened.by_key) <= 4
