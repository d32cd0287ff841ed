"""What a dialect is, and what several of them share.

Bodies, answers and chunks on our side are those of OpenAI's chat completions
(https://platform.openai.com/docs/api-reference/chat).
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.money import Usage
from nanosmith.predict.endpoint.catalogue import Remote
from nanosmith.predict.endpoint.events import Event
from nanosmith.predict.endpoint.failure import EndpointError, FailureKind

SHOWN_CHARS = 200  # of a provider's error
MAX_RETRY_AFTER_S = 86_400.0
SPENT = ("insufficient_quota", "billing_hard_limit_reached")
"""Codes of a 429 that waiting does not cure."""


class Call(msgspec.Struct, frozen=True):
    """One HTTP request: `path` goes behind the provider's base URL."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    method: str = "POST"


class Chunks(Protocol):
    """The translation of one stream; make one per answer."""

    finished: bool
    """Whether the end was seen: a stream that stops before it is broken."""

    def take(self, event: Event) -> list[dict[str, Any]]:
        """The chat.completion.chunk objects that an event stands for; usage comes in the last one, with no choices.
        Raises EndpointError."""
        ...


class Dialect(Protocol):
    """One provider's API."""

    def call(self, remote: Remote, body: Mapping[str, Any], key: str | None) -> Call:
        """The provider's request for a body of OpenAI's chat completions. Raises InputError (its `param` names the
        field) for what the provider has no word for: nothing is left out silently."""
        ...

    def answer(self, remote: Remote, reply: Any) -> dict[str, Any]:
        """The chat.completion object for a decoded reply of status 200. Raises EndpointError."""
        ...

    def chunks(self, remote: Remote) -> Chunks: ...

    def failure(self, remote: Remote, status: int, headers: Mapping[str, str], body: bytes) -> EndpointError:
        """What a reply of another status means; `headers` have lower-case names."""
        ...


def failed(remote: Remote, status: int, headers: Mapping[str, str], message: str, code: str | None) -> EndpointError:
    """The EndpointError of an HTTP status, with the provider's own words."""
    kind = _kind(status, code)
    remedy = None
    if status in (401, 403) and remote.provider.key_variable:
        remedy = f"Set {remote.provider.key_variable}, or run: nanosmith providers add {remote.provider.name}"
    shown = " ".join(message.split())[:SHOWN_CHARS].rstrip(".") or "no reason given"
    return EndpointError(
        kind, f"{remote.name} answered with status {status}: {shown}", status=status,
        retry_after_s=retry_after_s(headers), remedy=remedy,
    )  # fmt: skip


def _kind(status: int, code: str | None) -> FailureKind:
    if status == 429:
        return "refused" if code in SPENT else "rate_limited"
    if status in (408, 409, 425) or status >= 500:
        return "unavailable"
    return "refused"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms`, or `retry-after` as seconds or as a date (RFC 9110, 10.2.3)."""
    given = headers.get("retry-after-ms")
    if given is not None and (seconds := _number(given)) is not None:
        return min(seconds / 1000, MAX_RETRY_AFTER_S)
    given = headers.get("retry-after")
    if given is None:
        return None
    seconds = _number(given)
    if seconds is None:
        try:
            seconds = email.utils.parsedate_to_datetime(given).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def decoded_error(body: bytes) -> Mapping[str, Any]:
    """The `error` object of a body in any of the usual forms; its text as the message where there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = body[:1000].decode("utf-8", "replace")
    if isinstance(content, list) and content:
        content = content[0]
    error = content.get("error", content) if isinstance(content, dict) else content
    return error if isinstance(error, dict) else {"message": str(error)}


def garbage(remote: Remote, what: str) -> EndpointError:
    return EndpointError("garbage", f"{remote.name} sent no answer that can be read: {what}")


def decoded(remote: Remote, data: str) -> dict[str, Any]:
    """The JSON object of an event. Raises EndpointError."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise garbage(remote, f"an event is not JSON, {data[:60]!r}") from None
    if not isinstance(content, dict):
        raise garbage(remote, f"an event is no object, {data[:60]!r}")
    return content


def unsupported(remote: Remote, body: Mapping[str, Any], fields: Iterable[str]) -> None:
    """Raises InputError for the first of these fields that asks for something."""
    for field in fields:
        value = body.get(field)
        if value is not None and (value or field == "seed"):  # 0 is a seed, and no penalty
            raise InputError(f"{remote.name} has no such parameter", got=field, param=field,
                             code="unsupported_parameter", remedy="Leave it out, or ask another model.")  # fmt: skip


def text_of(content: Any, where: str = "messages") -> str:
    """The text of a message's content: a string, or text parts. Raises InputError."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") in ("text", "refusal") for p in content):
        return "".join(str(part.get("text", part.get("refusal", ""))) for part in content)
    raise InputError("only text can be sent to this provider", where=where, param="messages",
                     code="unsupported_content")  # fmt: skip


def tools_of(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The function objects of `tools`. Raises InputError."""
    tools = body.get("tools") or []
    for tool in tools:
        if tool.get("type") != "function":
            raise InputError("only functions can be sent as tools", got=repr(tool.get("type")), param="tools",
                             code="unsupported_parameter")  # fmt: skip
    return [tool["function"] for tool in tools]


def schema_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The JSON schema that `response_format` wants; {"type": "object"} for json_object; None for text."""
    wanted = body.get("response_format") or {"type": "text"}
    if wanted.get("type") == "json_schema":
        schema: Mapping[str, Any] = wanted["json_schema"].get("schema") or {"type": "object"}
        return schema
    return {"type": "object"} if wanted.get("type") == "json_object" else None


def completion(
    remote: Remote, id: str, message: dict[str, Any], finish_reason: str, usage: dict[str, Any]
) -> dict[str, Any]:
    """A chat.completion with one choice."""
    choice = {"index": 0, "message": {"role": "assistant", "refusal": None, **message}, "logprobs": None,
              "finish_reason": finish_reason}  # fmt: skip
    return {"id": id, "object": "chat.completion", "created": int(time.time()), "model": remote.model.name,
            "choices": [choice], "usage": usage}  # fmt: skip


def chunk(remote: Remote, id: str, delta: dict[str, Any] | None, finish_reason: str | None = None,
          usage: dict[str, Any] | None = None) -> dict[str, Any]:  # fmt: skip
    """A chat.completion.chunk; without a delta it has no choices."""
    choices = [] if delta is None else [
        {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    ]  # fmt: skip
    return {"id": id, "object": "chat.completion.chunk", "created": int(time.time()), "model": remote.model.name,
            "choices": choices, "usage": usage}  # fmt: skip


def usage_of(prompt: int, cached: int, written: int, reasoning: int = 0, newly_cached: int = 0) -> dict[str, Any]:
    """`prompt` holds `cached` and `newly_cached`, `written` holds `reasoning`."""
    return {
        "prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_creation_tokens": newly_cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }  # fmt: skip


def used(usage: Mapping[str, Any] | None) -> Usage | None:
    """The tokens that a `usage` tells, for what they cost; None where it tells none."""
    if not isinstance(usage, Mapping) or "prompt_tokens" not in usage:
        return None
    found = usage.get("prompt_tokens_details")
    details = found if isinstance(found, Mapping) else {}
    return Usage(
        count(usage["prompt_tokens"]), count(usage.get("completion_tokens")), count(details.get("cached_tokens")),
        count(details.get("cache_creation_tokens")),
    )  # fmt: skip


def tool_call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def count(value: Any) -> int:
    """A number of tokens; 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
