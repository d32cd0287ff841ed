"""Google's Gemini API (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nanosmith.core.task import SYSTEM_ROLES
from nanosmith.predict.endpoint.catalogue import Remote
from nanosmith.predict.endpoint.dialects.anthropic import arguments_of
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

FIELDS = {
    "temperature": "temperature", "top_p": "topP", "seed": "seed", "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty", "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
}  # fmt: skip
"""Ours, and theirs in generationConfig."""
FILTERED = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE")
MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


class Gemini:
    """POST /models/MODEL:generateContent."""

    def call(self, remote: Remote, body: Mapping[str, Any], key: str | None) -> Call:
        unsupported(remote, body, ("logit_bias", "functions"))
        if (body.get("n") or 1) != 1:
            unsupported(remote, body, ("n",))
        if body.get("parallel_tool_calls") is False:
            unsupported(remote, {"parallel_tool_calls": True}, ("parallel_tool_calls",))
        messages = body["messages"]
        system = "\n\n".join(text_of(m.get("content")) for m in messages if m["role"] in SYSTEM_ROLES)
        sent: dict[str, Any] = {"contents": _contents([m for m in messages if m["role"] not in SYSTEM_ROLES])}
        if system:
            sent["systemInstruction"] = {"parts": [{"text": system}]}
        if config := _config(body):
            sent["generationConfig"] = config
        sent |= _tools(body)
        verb = "streamGenerateContent?alt=sse" if body.get("stream") else "generateContent"
        return Call(f"/models/{remote.model.name}:{verb}", {"x-goog-api-key": key} if key else {}, sent)

    def answer(self, remote: Remote, reply: Any) -> dict[str, Any]:
        part = _read(remote, reply)
        if part.reason is None:
            raise garbage(remote, "there is no finishReason")
        message: dict[str, Any] = {"content": part.text or (None if part.calls else "")}
        if part.calls:
            message["tool_calls"] = part.calls
        made = completion(remote, part.id, message, part.reason, _usage(reply.get("usageMetadata")))
        made["choices"][0]["logprobs"] = part.logprobs
        return made

    def chunks(self, remote: Remote) -> GeminiChunks:
        return GeminiChunks(remote)

    def failure(self, remote: Remote, status: int, headers: Mapping[str, str], body: bytes) -> EndpointError:
        """How long to wait stands in the error's details."""
        error = decoded_error(body)
        for detail in error.get("details") or []:
            delay = DELAY.fullmatch(str(detail.get("retryDelay", ""))) if isinstance(detail, dict) else None
            if delay and "retry-after" not in headers:
                headers = {**headers, "retry-after": delay[1]}
        return failed(remote, status, headers, str(error.get("message") or ""), None)


class GeminiChunks:
    """Each event is a reply with the next part; the last has a finishReason."""

    def __init__(self, remote: Remote) -> None:
        self.finished = False
        self._remote = remote
        self._begun = False
        self._calls = 0

    def take(self, event: Event) -> list[dict[str, Any]]:
        content = decoded(self._remote, event.data)
        if "error" in content:
            what = decoded_error(event.data.encode()).get("message") or "no reason"
            raise EndpointError("broken_stream", f"{self._remote.name} broke off: {what}")
        part = _read(self._remote, content)
        made = []
        delta: dict[str, Any] = {} if self._begun else {"role": "assistant", "content": ""}
        if part.text:
            delta["content"] = part.text
        if part.calls:
            delta["tool_calls"] = [{"index": self._calls + i, **call} for i, call in enumerate(part.calls)]
            self._calls += len(part.calls)
        if delta:
            self._begun = True
            made.append(chunk(self._remote, part.id, delta))
            made[-1]["choices"][0]["logprobs"] = part.logprobs
        if part.reason is not None:
            self.finished = True
            reason = "tool_calls" if self._calls and part.reason == "stop" else part.reason
            made.append(chunk(self._remote, part.id, {}, reason))
            made.append(chunk(self._remote, part.id, None, usage=_usage(content.get("usageMetadata"))))
        return made


class _Part:
    """What one reply holds."""

    def __init__(self, id: str, text: str, calls: list[dict[str, Any]], reason: str | None, logprobs: Any) -> None:
        self.id, self.text, self.calls, self.reason, self.logprobs = id, text, calls, reason, logprobs


def _read(remote: Remote, reply: Any) -> _Part:
    """Raises EndpointError."""
    if not isinstance(reply, dict):
        raise garbage(remote, "the reply is no object")
    id = str(reply.get("responseId", ""))
    if not reply.get("candidates"):
        if "promptFeedback" in reply:
            return _Part(id, "", [], "content_filter", None)
        if "usageMetadata" in reply:
            return _Part(id, "", [], None, None)
        raise garbage(remote, "there are no candidates")
    try:
        candidate = reply["candidates"][0]
        parts = (candidate.get("content") or {}).get("parts") or []
        text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
        calls = [_call(i, part["functionCall"]) for i, part in enumerate(parts) if "functionCall" in part]
        reason = _reason(candidate.get("finishReason"), calls=bool(calls))
        return _Part(id, text, calls, reason, _logprobs(candidate.get("logprobsResult")))
    except (KeyError, TypeError, AttributeError, LookupError):
        raise garbage(remote, "the candidate is not whole") from None


def _call(index: int, call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
    return tool_call(str(call.get("id") or f"call_{index}"), str(call["name"]), arguments)


def _reason(given: Any, *, calls: bool) -> str | None:
    if given is None or given == "FINISH_REASON_UNSPECIFIED":
        return None
    if given == "MAX_TOKENS":
        return "length"
    if given in FILTERED:
        return "content_filter"
    return "tool_calls" if calls else "stop"


def _logprobs(given: Any) -> dict[str, Any] | None:
    """OpenAI's form of the chosen tokens and the likeliest beside each."""
    if not given:
        return None
    tops = given.get("topCandidates") or []
    content = []
    for i, chosen in enumerate(given.get("chosenCandidates") or []):
        beside = (tops[i].get("candidates") or []) if i < len(tops) else []
        content.append(_token(chosen) | {"top_logprobs": [_token(one) for one in beside]})
    return {"content": content, "refusal": None}


def _token(one: Mapping[str, Any]) -> dict[str, Any]:
    text = str(one.get("token", ""))
    return {"token": text, "logprob": float(one.get("logProbability", 0.0)), "bytes": list(text.encode())}


def _contents(messages: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turns of the user and the model; a tool's result names the function, which the call before it tells."""
    names: dict[str, str] = {}
    contents: list[dict[str, Any]] = []
    for message in messages:
        for call in message.get("tool_calls") or []:
            names[call["id"]] = call["function"]["name"]
        role = "model" if message["role"] == "assistant" else "user"
        parts = _parts(message, names)
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(message: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    text = text_of(message.get("content"))
    if message["role"] == "tool":
        name = names.get(str(message.get("tool_call_id")), "function")
        return [{"functionResponse": {"name": name, "response": {"result": text}}}]
    parts: list[dict[str, Any]] = [{"text": text}] if text else []
    for call in message.get("tool_calls") or []:
        made = call["function"]
        parts.append({"functionCall": {"name": made["name"], "args": arguments_of(made)}})
    return parts


def _config(body: Mapping[str, Any]) -> dict[str, Any]:
    config = {theirs: body[ours] for ours, theirs in FIELDS.items() if body.get(ours) is not None}
    if stop := body.get("stop"):
        config["stopSequences"] = [stop] if isinstance(stop, str) else list(stop)
    schema = schema_of(body)
    if schema is not None:
        config["responseMimeType"] = "application/json"
        if body["response_format"]["type"] == "json_schema":
            config["responseJsonSchema"] = schema
    if body.get("logprobs"):
        config["responseLogprobs"] = True
        if body.get("top_logprobs"):
            config["logprobs"] = body["top_logprobs"]
    return config


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    functions = [
        {"name": tool["name"], "description": tool.get("description") or ""}
        | ({"parametersJsonSchema": tool["parameters"]} if tool.get("parameters") else {})
        for tool in tools_of(body)
    ]
    if not functions:
        return {}
    wanted = body.get("tool_choice")
    if isinstance(wanted, dict):
        choice = {"mode": "ANY", "allowedFunctionNames": [wanted["function"]["name"]]}
    else:
        choice = {"mode": MODES.get(str(wanted), "AUTO")}
    return {"tools": [{"functionDeclarations": functions}], "toolConfig": {"functionCallingConfig": choice}}


def _usage(given: Any) -> dict[str, Any]:
    """Their answer leaves out what was thought; ours holds it."""
    usage = given if isinstance(given, dict) else {}
    thought = count(usage.get("thoughtsTokenCount"))
    written = count(usage.get("candidatesTokenCount")) + thought
    return usage_of(count(usage.get("promptTokenCount")), count(usage.get("cachedContentTokenCount")), written, thought)
