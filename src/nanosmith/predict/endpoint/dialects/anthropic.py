"""Anthropic's Messages API (https://docs.anthropic.com/en/api/messages).

It has no response_format: an answer that must be JSON is asked for as the call of one function, ANSWER, and its
arguments become the content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nanosmith.core.errors import InputError
from nanosmith.core.task import SYSTEM_ROLES
from nanosmith.predict.endpoint.catalogue import Remote
from nanosmith.predict.endpoint.dialects.dialect import (
    Call,
    chunk,
    completion,
    count,
    decoded,
    decoded_error,
    failed,
    garbage,
    schema_of,
    text_of,
    tool_call,
    tools_of,
    unsupported,
    usage_of,
)
from nanosmith.predict.endpoint.events import Event
from nanosmith.predict.endpoint.failure import EndpointError

VERSION = "2023-06-01"
ANSWER = "json_answer"
DEFAULT_TOKENS = 4_096  # the API wants a bound
UNSUPPORTED = ("logprobs", "top_logprobs", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "functions")
REASONS = {
    "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "max_tokens": "length",
    "model_context_window_exceeded": "length", "tool_use": "tool_calls", "refusal": "content_filter",
}  # fmt: skip


class Anthropic:
    """POST /messages."""

    def call(self, remote: Remote, body: Mapping[str, Any], key: str | None) -> Call:
        unsupported(remote, body, UNSUPPORTED)
        if (body.get("n") or 1) != 1:
            unsupported(remote, body, ("n",))
        messages = body["messages"]
        system = "\n\n".join(text_of(m.get("content")) for m in messages if m["role"] in SYSTEM_ROLES)
        bound = body.get("max_completion_tokens") or body.get("max_tokens")
        sent: dict[str, Any] = {
            "model": remote.model.name,
            "max_tokens": bound or min(DEFAULT_TOKENS, remote.model.output_tokens or DEFAULT_TOKENS),
            "messages": _turns([m for m in messages if m["role"] not in SYSTEM_ROLES]),
        }
        if system:
            sent["system"] = system
        if body.get("temperature") is not None:
            sent["temperature"] = min(1.0, body["temperature"])
        if body.get("top_p") is not None:
            sent["top_p"] = body["top_p"]
        if stop := body.get("stop"):
            sent["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
        if body.get("stream"):
            sent["stream"] = True
        sent |= _tools(body)
        headers = {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})
        return Call("/messages", headers, sent)

    def answer(self, remote: Remote, reply: Any) -> dict[str, Any]:
        blocks = reply.get("content") if isinstance(reply, dict) else None
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise garbage(remote, "there is no content")
        texts, calls = [], []
        for block in blocks:
            if block.get("type") == "text":
                texts.append(str(block.get("text", "")))
            elif block.get("type") == "tool_use":
                arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
                if block.get("name") == ANSWER:
                    texts = [arguments]
                else:
                    calls.append(tool_call(str(block.get("id")), str(block.get("name")), arguments))
        reason = _reason(reply.get("stop_reason"), calls=bool(calls))
        message: dict[str, Any] = {"content": "".join(texts) or (None if calls else "")}
        if calls:
            message["tool_calls"] = calls
        return completion(remote, str(reply.get("id", "")), message, reason, _usage(reply.get("usage")))

    def chunks(self, remote: Remote) -> AnthropicChunks:
        return AnthropicChunks(remote)

    def failure(self, remote: Remote, status: int, headers: Mapping[str, str], body: bytes) -> EndpointError:
        error = decoded_error(body)
        return failed(remote, status, headers, str(error.get("message") or ""), None)


class AnthropicChunks:
    """message_start, content_block_start, …_delta, …_stop, message_delta, message_stop."""

    def __init__(self, remote: Remote) -> None:
        self.finished = False
        self._remote = remote
        self._id = ""
        self._usage: dict[str, Any] = {}
        self._calls = -1
        self._is_answer = False

    def take(self, event: Event) -> list[dict[str, Any]]:
        content = decoded(self._remote, event.data)
        take = getattr(self, f"_{content.get('type', 'nothing')}", None)
        try:
            return [] if take is None else take(content)
        except (KeyError, TypeError, AttributeError):
            raise garbage(self._remote, f"an event is not whole, {event.data[:60]!r}") from None

    def _message_start(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        self._id = str(content["message"].get("id", ""))
        self._usage = dict(content["message"].get("usage") or {})
        return [self._chunk({"role": "assistant", "content": ""})]

    def _content_block_start(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        block = content["content_block"]
        self._is_answer = block.get("name") == ANSWER
        if block["type"] == "text" and block.get("text"):
            return [self._chunk({"content": block["text"]})]
        if block["type"] != "tool_use" or self._is_answer:
            return []
        self._calls += 1
        call = tool_call(str(block["id"]), str(block["name"]), "")
        return [self._chunk({"tool_calls": [{"index": self._calls, **call}]})]

    def _content_block_delta(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        delta = content["delta"]
        if delta["type"] == "text_delta":
            return [self._chunk({"content": delta["text"]})]
        if delta["type"] != "input_json_delta":
            return []
        part = delta["partial_json"]
        if self._is_answer:
            return [self._chunk({"content": part})]
        return [self._chunk({"tool_calls": [{"index": self._calls, "function": {"arguments": part}}]})]

    def _message_delta(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        self._usage |= content.get("usage") or {}
        reason = _reason(content["delta"].get("stop_reason"), calls=self._calls >= 0)
        return [self._chunk({}, reason)]

    def _message_stop(self, _: dict[str, Any]) -> list[dict[str, Any]]:
        self.finished = True
        return [chunk(self._remote, self._id, None, usage=_usage(self._usage))]

    def _error(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        what = (content.get("error") or {}).get("message") or "no reason"
        raise EndpointError("broken_stream", f"{self._remote.name} broke off: {what}")

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return chunk(self._remote, self._id, delta, reason)


def _turns(messages: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Users' and assistants' turns in alternation: results of tools are a user's, neighbours of one role are joined."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"),
                  "content": text_of(message.get("content"))}  # fmt: skip
        return [result]
    text = text_of(message.get("content"))
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for call in message.get("tool_calls") or []:
        made = call["function"]
        blocks.append({"type": "tool_use", "id": call["id"], "name": made["name"], "input": arguments_of(made)})
    return blocks


def arguments_of(function: Mapping[str, Any]) -> Any:
    """The arguments of an earlier call. Raises InputError."""
    try:
        return json.loads(function.get("arguments") or "{}")
    except ValueError:
        raise InputError("the arguments of a call are not JSON", got=repr(function.get("arguments"))[:80],
                         param="messages") from None  # fmt: skip


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """Tools and the choice among them; with a schema the answer is one more tool, and one of them must be called."""
    tools = [
        {"name": tool["name"], "description": tool.get("description") or "",
         "input_schema": tool.get("parameters") or {"type": "object", "properties": {}}}
        for tool in tools_of(body)
    ]  # fmt: skip
    schema = schema_of(body)
    if schema is not None:
        tools.append({"name": ANSWER, "description": "Give the answer.", "input_schema": schema})
    if not tools:
        return {}
    choice = _choice(body.get("tool_choice"))
    if schema is not None and choice["type"] in ("auto", "none"):
        only = len(tools) == 1 or choice["type"] == "none"
        choice = {"type": "tool", "name": ANSWER} if only else {"type": "any"}
    if body.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tools": tools, "tool_choice": choice}


def _choice(wanted: Any) -> dict[str, Any]:
    if isinstance(wanted, dict):
        return {"type": "tool", "name": wanted["function"]["name"]}
    return {"type": {"required": "any", "none": "none"}.get(wanted, "auto")}


def _reason(stop_reason: Any, *, calls: bool) -> str:
    """A call of ANSWER alone ends like a text."""
    reason = REASONS.get(str(stop_reason), "stop")
    return "stop" if reason == "tool_calls" and not calls else reason


def _usage(given: Any) -> dict[str, Any]:
    """Their input leaves out what was cached; ours holds it."""
    usage = given if isinstance(given, dict) else {}
    cached, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    read = count(usage.get("input_tokens")) + cached + written
    return usage_of(read, cached, count(usage.get("output_tokens")), newly_cached=written)
