"""Every parameter of a chat completion is honoured, ignored and named, or refused by name."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from nanosmith.server.chat.request import HONOURED, IGNORED, REFUSED, ChatRequest

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED: dict[str, Any] = {
    "audio": {"voice": "ash", "format": "mp3"}, "frequency_penalty": 1, "function_call": {"name": "f"},
    "functions": [{"name": "f"}], "logit_bias": {"5": 1}, "logprobs": True, "max_completion_tokens": 1,
    "max_tokens": 1, "messages": [{"role": "user", "content": "my login"}], "metadata": {"a": "b"},
    "modalities": ["text", "audio"], "model": "tiny", "moderation": {"model": "m"}, "n": 128,
    "parallel_tool_calls": False, "prediction": {"type": "content", "content": "x"}, "presence_penalty": 1,
    "prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"}, "prompt_cache_retention": "24h",
    "reasoning_effort": "low", "response_format": {"type": "text"}, "safety_identifier": "me", "seed": 7,
    "service_tier": "flex", "stop": ["\n"], "store": True, "stream": True, "stream_options": {"include_usage": True},
    "temperature": 0.5, "tool_choice": "required", "tools": [TOOL], "top_logprobs": 3, "top_p": 0.5, "user": "me",
    "verbosity": "low", "web_search_options": {},
}  # fmt: skip
"""All properties of CreateChatCompletionRequest in OpenAI's specification, with values that ask for something."""
TOGETHER: dict[str, dict[str, Any]] = {
    "metadata": {"store": True}, "stream_options": {"stream": True}, "top_logprobs": {"logprobs": True},
}  # fmt: skip
GOOD = {"model": "tiny", "messages": [{"role": "user", "content": "my refund"}]}
TOOL_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def ask(http: httpx.Client, **changes: Any) -> httpx.Response:
    return http.post("/v1/chat/completions", json=GOOD | changes)


def test_every_parameter_has_one_fate() -> None:
    """The three lists hold each property of the specification and our own once, and the request's struct has no
    other."""
    listed = [*HONOURED, *IGNORED, *REFUSED]
    assert sorted(listed) == sorted([*ASKED, "nanosmith"])
    assert set(ChatRequest.__struct_fields__) == set(listed)


@pytest.mark.parametrize("name", sorted(ASKED))
def test_the_fate_of(http: httpx.Client, name: str) -> None:
    """An honoured parameter is accepted without a remark, an ignored one is named in the header, a refused one in the
    error."""
    response = ask(http, **{name: ASKED[name]}, **TOGETHER.get(name, {}))
    ignored = response.headers.get("x-nanosmith-ignored")
    if name in REFUSED:
        error = response.json()["error"]
        assert (response.status_code, error["param"], error["code"]) == (400, name, "unsupported_parameter")
    else:
        assert response.status_code == 200, response.text
        assert ignored == (name if name in IGNORED else None)


@pytest.mark.parametrize("name", sorted({*HONOURED, *IGNORED, *REFUSED} - {"model", "messages"}))
def test_null_asks_for_nothing(http: httpx.Client, name: str) -> None:
    """An optional parameter that is null is as if it were not there."""
    response = ask(http, **{name: None})
    assert response.status_code == 200, response.text
    assert "x-nanosmith-ignored" not in response.headers


@pytest.mark.parametrize(
    ("stop", "content"),
    [("un", "ref"), (["x", "d"], "refun"), (["fund", "ef"], "r"), ("", "refund"), ([], "refund"), ("r", "")],
)
def test_stop_ends_the_answer(http: httpx.Client, stop: Any, content: str) -> None:
    """The answer ends before the first stop sequence in it, in a stream and in the log probabilities too."""
    choice = ask(http, stop=stop, logprobs=True).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (content, "stop")
    assert choice["logprobs"]["content"][0]["token"] == content
    streamed = ask(http, stop=stop, stream=True).text
    assert f'"delta":{{"content":"{content}"}}' in streamed


def test_an_answer_keeps_any_limit_of_tokens(http: httpx.Client) -> None:
    """An answer counts as one token, so the least limit is kept."""
    done = ask(http, max_tokens=1, max_completion_tokens=1).json()
    assert (done["choices"][0]["message"]["content"], done["usage"]["completion_tokens"]) == ("refund", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 2**63), ("seed", -(2**63) - 1), ("metadata", {"a": "b\0"}), ("metadata", {"a\0": "b"}),
        ("metadata", {"a": 1}), ("metadata", {"k" * 65: "v"}), ("store", "yes"),
    ],
)  # fmt: skip
def test_what_could_not_be_stored_is_refused(http: httpx.Client, name: str, value: Any) -> None:
    """Numbers, keys and values that a database or OpenAI's types cannot hold are a 400 at their parameter."""
    response = ask(http, **({"store": True} | {name: value}))
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith(name)


@pytest.mark.parametrize(
    "call", [{}, "f", TOOL_CALL | {"type": "other"}, TOOL_CALL | {"id": 3}, {"id": "c", "type": "function"}]
)
def test_malformed_tool_calls_are_refused(http: httpx.Client, call: Any) -> None:
    """A tool call in a message has the form that OpenAI's types have, or is a 400 at its place."""
    good = [*GOOD["messages"], {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}]
    assert ask(http, messages=good).status_code == 200
    bad = [*GOOD["messages"], {"role": "assistant", "content": None, "tool_calls": [call]}]
    response = ask(http, messages=bad)
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("messages[1].tool_calls[0]")
