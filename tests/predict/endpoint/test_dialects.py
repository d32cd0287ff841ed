"""The dialects: translation without any I/O."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nanosmith.core import registry
from nanosmith.core.errors import InputError
from nanosmith.core.money import Usage
from nanosmith.predict.endpoint.catalogue import open_catalogue
from nanosmith.predict.endpoint.dialects.dialect import Dialect, retry_after_s, used
from nanosmith.predict.endpoint.events import Event
from nanosmith.predict.endpoint.failure import EndpointError

REMOTES = {name: open_catalogue().find(model) for name, model in {
    "openai": "openai/gpt-5-mini", "anthropic": "anthropic/claude-haiku-4-5", "gemini": "gemini/gemini-2.5-flash",
}.items()}  # fmt: skip
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": SCHEMA}}
TURNS = [
    {"role": "system", "content": "Be short."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"n": 1}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "found"}, {"role": "user", "content": "And now?"},
]  # fmt: skip
BODY: dict[str, Any] = {
    "model": "support", "messages": TURNS, "tools": [TOOL], "tool_choice": "auto", "temperature": 0.5, "stop": "END",
    "max_completion_tokens": 9,
}  # fmt: skip
REPLIES: dict[str, Any] = {
    "openai": {
        "id": "1", "object": "chat.completion", "created": 1, "model": "gpt-5-mini-2025", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17,
                  "prompt_tokens_details": {"cached_tokens": 4}},
    },
    "anthropic": {
        "id": "1", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 8, "cache_read_input_tokens": 4, "output_tokens": 5},
    },
    "gemini": {
        "responseId": "1", "candidates": [
            {"content": {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "Hello"}]},
             "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 12, "cachedContentTokenCount": 4, "candidatesTokenCount": 3,
                          "thoughtsTokenCount": 2, "totalTokenCount": 17},
    },
}  # fmt: skip
STREAMS: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"id": "1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {"id": "1", "choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]},
        {"id": "1", "choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": None}]},
        {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"id": "1", "choices": [], "usage": REPLIES["openai"]["usage"]},
    ],
    "anthropic": [
        {"type": "message_start", "message": {"id": "1", "usage": {"input_tokens": 8, "cache_read_input_tokens": 4}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ],
    "gemini": [
        {"responseId": "1", "candidates": [{"content": {"parts": [{"text": "Hel"}]}}]},
        {"responseId": "1", "candidates": [{"content": {"parts": [{"text": "lo"}]}, "finishReason": "STOP"}],
         "usageMetadata": REPLIES["gemini"]["usageMetadata"]},
    ],
}  # fmt: skip
NAMES = sorted(REMOTES)


def dialect(name: str) -> Dialect:
    made: Dialect = registry.load("dialects", name)()
    return made


def events(name: str) -> list[Event]:
    given = [Event("", json.dumps(one)) for one in STREAMS[name]]
    return [*given, Event("", "[DONE]")] if name == "openai" else given


def test_every_dialect_is_tested() -> None:
    """Each registered dialect has its examples here."""
    assert set(NAMES) == set(registry.registered("dialects"))


@pytest.mark.parametrize("name", NAMES)
def test_answer(name: str) -> None:
    """A reply becomes a chat completion: content, reason, and tokens with those that were cached."""
    made = dialect(name).answer(REMOTES[name], REPLIES[name])
    choice = made["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello", "stop")
    assert used(made["usage"]) == Usage(12, 5, 4)
    assert made["usage"]["total_tokens"] == 17


@pytest.mark.parametrize("name", NAMES)
def test_stream(name: str) -> None:
    """The chunks say the same as the whole reply, the last one has the tokens, and the end was seen."""
    chunks = dialect(name).chunks(REMOTES[name])
    found: list[dict[str, Any]] = []
    for event in events(name):
        assert not chunks.finished
        found += chunks.take(event)
    assert chunks.finished
    choices = [chunk["choices"][0] for chunk in found if chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "Hello"
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
    assert used(found[-1]["usage"]) == Usage(12, 5, 4)


@pytest.mark.parametrize("name", NAMES)
def test_cut_stream_has_no_end(name: str) -> None:
    """Without its last event no stream is finished."""
    chunks = dialect(name).chunks(REMOTES[name])
    for event in events(name)[:-1]:
        chunks.take(event)
    assert not chunks.finished


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "reply", [None, 3, [], {}, {"choices": []}, {"content": 3}, {"candidates": [3]}, {"error": {}}]
)
def test_garbage_is_no_answer(name: str, reply: Any) -> None:
    """Whatever JSON comes, what is no reply is an EndpointError of the kind garbage."""
    with pytest.raises(EndpointError) as caught:
        dialect(name).answer(REMOTES[name], reply)
    assert caught.value.kind == "garbage"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", ["{", "3", "\x00ÿ", "[1]"])
def test_garbage_in_a_stream(name: str, data: str) -> None:
    """An event that is no object is garbage."""
    with pytest.raises(EndpointError) as caught:
        dialect(name).chunks(REMOTES[name]).take(Event("", data))
    assert caught.value.kind == "garbage"


@pytest.mark.parametrize("name", NAMES)
def test_error_in_a_stream(name: str) -> None:
    """An error between chunks breaks the stream, with the provider's words."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded", "code": 503}}
    with pytest.raises(EndpointError, match="Overloaded") as caught:
        dialect(name).chunks(REMOTES[name]).take(Event("error", json.dumps(error)))
    assert caught.value.kind == "broken_stream"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "rate_limited"), (500, "unavailable"), (529, "unavailable"), (400, "refused"), (401, "refused"),
     (404, "refused"), (302, "refused"), (408, "unavailable")],
)  # fmt: skip
def test_failures(name: str, status: int, kind: str) -> None:
    """Each status has its kind, the provider's words, and how long to wait; no body is too strange."""
    body = json.dumps({"error": {"message": "Because.", "type": "t"}}).encode()
    error = dialect(name).failure(REMOTES[name], status, {"retry-after": "7"}, body)
    assert (error.kind, error.status, error.retry_after_s) == (kind, status, 7.0)
    assert "Because" in str(error)
    for strange in (b"", b"\xff", b"[]", b"[3]", b'"x"', b"<html>", b'{"error": "x"}', b'{"error": {"message": 3}}'):
        assert dialect(name).failure(REMOTES[name], status, {}, strange).kind == kind


def test_spent_quota_is_refused() -> None:
    """A 429 for a spent quota is not worth waiting for."""
    body = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}).encode()
    assert dialect("openai").failure(REMOTES["openai"], 429, {}, body).kind == "refused"


def test_missing_key_has_a_remedy() -> None:
    """401 says which variable to set."""
    assert "OPENAI_API_KEY" in str(dialect("openai").failure(REMOTES["openai"], 401, {}, b"{}"))


def test_openai_request() -> None:
    """The body goes on with the provider's model and its word for the bound; a stream asks for its tokens."""
    call = dialect("openai").call(REMOTES["openai"], BODY | {"stream": True}, "k")
    assert (call.path, call.headers) == ("/chat/completions", {"authorization": "Bearer k"})
    assert (call.body["model"], call.body["max_completion_tokens"]) == ("gpt-5-mini", 9)
    assert call.body["stream_options"] == {"include_usage": True}
    assert call.body["messages"] == TURNS
    other = dialect("openai").call(open_catalogue().find("ollama/x"), BODY, None)
    assert (other.headers, other.body["max_tokens"]) == ({}, 9)
    assert "max_completion_tokens" not in other.body


def test_anthropic_request() -> None:
    """System prompts, tool calls and their results have their own places."""
    call = dialect("anthropic").call(REMOTES["anthropic"], BODY, "k")
    assert (call.path, call.headers["x-api-key"], call.headers["anthropic-version"]) == ("/messages", "k", "2023-06-01")
    assert call.body["system"] == "Be short."
    assert call.body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "find", "input": {"n": 1}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "found"}, {"type": "text", "text": "And now?"}]},
    ]  # fmt: skip
    assert call.body["tools"] == [{"name": "find", "description": "Finds.", "input_schema": SCHEMA}]
    assert (call.body["max_tokens"], call.body["stop_sequences"]) == (9, ["END"])


def test_anthropic_schema_is_a_tool_and_comes_back_as_content() -> None:
    """response_format becomes one more tool; its call is content, whole and streamed, and ends like a text."""
    body = {"messages": TURNS[1:2], "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}
    call = dialect("anthropic").call(REMOTES["anthropic"], body, None)
    tool = call.body["tools"][0]["name"]
    assert call.body["tool_choice"] == {"type": "tool", "name": tool}
    block = {"type": "tool_use", "id": "t", "name": tool, "input": {"n": 3}}
    made = dialect("anthropic").answer(REMOTES["anthropic"], {"content": [block], "stop_reason": "tool_use"})
    assert (made["choices"][0]["message"]["content"], made["choices"][0]["finish_reason"]) == ('{"n": 3}', "stop")
    chunks = dialect("anthropic").chunks(REMOTES["anthropic"])
    given = [
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"n":'}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "3}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
    ]
    found = [chunk for one in given for chunk in chunks.take(Event("", json.dumps(one)))]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in found) == '{"n":3}'
    assert found[-1]["choices"][0]["finish_reason"] == "stop"


def test_gemini_request() -> None:
    """Roles, parts, the configuration and the choice of tools are Gemini's."""
    call = dialect("gemini").call(REMOTES["gemini"], BODY | {"stream": True, "tool_choice": "required"}, "k")
    assert (call.path, call.headers) == (
        "/models/gemini-2.5-flash:streamGenerateContent?alt=sse", {"x-goog-api-key": "k"}
    )  # fmt: skip
    assert call.body["systemInstruction"] == {"parts": [{"text": "Be short."}]}
    assert call.body["contents"] == [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "find", "args": {"n": 1}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "find", "response": {"result": "found"}}}, {"text": "And now?"}]},
    ]  # fmt: skip
    assert call.body["generationConfig"] == {"temperature": 0.5, "maxOutputTokens": 9, "stopSequences": ["END"]}
    assert call.body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    schema = {"messages": TURNS[1:2], "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}
    config = dialect("gemini").call(REMOTES["gemini"], schema, None).body["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}


CALLS: dict[str, tuple[Any, list[Any]]] = {
    "anthropic": (
        {"content": [{"type": "tool_use", "id": "c1", "name": "find", "input": {"n": 1}}], "stop_reason": "tool_use"},
        [{"type": "message_start", "message": {"id": "1"}},
         {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c1", "name": "find"}},
         {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"n": 1}'}},
         {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}],
    ),
    "gemini": (
        {"candidates": [{"content": {"parts": [{"functionCall": {"id": "c1", "name": "find", "args": {"n": 1}}}]},
                         "finishReason": "STOP"}]},
        [{"candidates": [{"content": {"parts": [{"functionCall": {"id": "c1", "name": "find", "args": {"n": 1}}}]}}]},
         {"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CALLS))
def test_tool_calls(name: str) -> None:
    """A call comes back in OpenAI's form, whole and streamed."""
    reply, stream = CALLS[name]
    choice = dialect(name).answer(REMOTES[name], reply)["choices"][0]
    assert choice["message"]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"n": 1}'}}
    ]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    chunks = dialect(name).chunks(REMOTES[name])
    found = [one for event in stream for one in chunks.take(Event("", json.dumps(event))) if one["choices"]]
    calls = [call for one in found for call in one["choices"][0]["delta"].get("tool_calls", [])]
    assert {call["index"] for call in calls} == {0}
    assert "".join(call["function"].get("arguments", "") for call in calls) == '{"n": 1}'
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [("anthropic", "n", 2), ("anthropic", "logprobs", True), ("anthropic", "seed", 0), ("gemini", "n", 2),
     ("anthropic", "presence_penalty", 0.5), ("gemini", "logit_bias", {"1": 2}),
     ("gemini", "parallel_tool_calls", False)],
)  # fmt: skip
def test_nothing_is_left_out_silently(name: str, field: str, value: Any) -> None:
    """What the provider has no word for is refused, by its name."""
    with pytest.raises(InputError) as caught:
        dialect(name).call(REMOTES[name], {"messages": TURNS[1:2], field: value}, None)
    assert (caught.value.param, caught.value.code) == (field, "unsupported_parameter")


@pytest.mark.parametrize("name", ["anthropic", "gemini"])
def test_pictures_are_refused(name: str) -> None:
    """Only text is translated; a picture is an error, not an empty message."""
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]}]
    with pytest.raises(InputError, match="only text"):
        dialect(name).call(REMOTES[name], {"messages": picture}, None)


def test_gemini_logprobs_and_blocks() -> None:
    """Log-probabilities take OpenAI's form; a blocked prompt is a filtered answer; the wait stands in the details."""
    chosen = {"token": "a", "logProbability": -0.1}
    reply = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP", "logprobsResult": {
        "chosenCandidates": [chosen], "topCandidates": [{"candidates": [chosen, {"token": "b", "logProbability": -2}]}],
    }}]}  # fmt: skip
    made = dialect("gemini").answer(REMOTES["gemini"], reply)["choices"][0]["logprobs"]["content"][0]
    assert (made["token"], [one["token"] for one in made["top_logprobs"]]) == ("a", ["a", "b"])
    blocked = dialect("gemini").answer(REMOTES["gemini"], {"promptFeedback": {"blockReason": "SAFETY"}})
    assert blocked["choices"][0]["finish_reason"] == "content_filter"
    body = json.dumps({"error": {"message": "m", "details": [{"@type": "RetryInfo", "retryDelay": "17s"}]}}).encode()
    assert dialect("gemini").failure(REMOTES["gemini"], 429, {}, body).retry_after_s == 17


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, None), ({"retry-after": "2.5"}, 2.5), ({"retry-after": "soon"}, None), ({"retry-after": "-1"}, None),
     ({"retry-after-ms": "250", "retry-after": "9"}, 0.25), ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
     ({"retry-after": "inf"}, None), ({"retry-after": "1e300"}, 86_400.0)],
)  # fmt: skip
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """As seconds, milliseconds or a date; nonsense is none, and no wait is longer than a day."""
    assert retry_after_s(headers) == seconds


def test_cached_tokens_are_part_of_the_input() -> None:
    """Anthropic counts them apart, what was newly cached too."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 2}
    made = dialect("anthropic").answer(REMOTES["anthropic"], {"content": [], "usage": usage})
    assert used(made["usage"]) == Usage(18, 2, 5, 3)
