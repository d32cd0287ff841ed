"""The request of a chat completion: every parameter's range, and what a classifier must refuse.

A parameter is honoured, ignored (and named in a response header) or refused; docs/api.md has the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.fields import Metadata
from nanosmith.server.models.extension import Extension
from nanosmith.server.models.turns import not_text

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool", "function"]
Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)] | None
Positive: TypeAlias = Annotated[int, Meta(ge=1)] | None
Name: TypeAlias = Annotated[str, Meta(max_length=64)] | None
Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
TEXT_PARTS = ("text", "refusal")
IGNORED_HEADER = "x-nanosmith-ignored"
HEADER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_NAMED = 32

HONOURED = (
    "model", "messages", "stream", "stream_options", "n", "logprobs", "top_logprobs", "response_format", "seed", "stop",
    "max_tokens", "max_completion_tokens", "store", "metadata", "nanosmith",
)  # fmt: skip
IGNORED: dict[str, tuple[Any, ...]] = {
    "temperature": (0,), "top_p": (1,), "frequency_penalty": (0,), "presence_penalty": (0,), "logit_bias": ({},),
    "parallel_tool_calls": (), "prediction": (), "reasoning_effort": (), "verbosity": (),
    "service_tier": ("auto", "default"), "prompt_cache_key": (), "prompt_cache_options": (),
    "prompt_cache_retention": (), "safety_identifier": (), "user": (),
}  # fmt: skip
"""Parameters without effect on a classifier's answer, with the values that ask for nothing else."""
REFUSED = (
    "tools", "tool_choice", "functions", "function_call", "audio", "modalities", "web_search_options", "moderation",
)  # fmt: skip
"""Parameters that are accepted only with values that ask for nothing, such as tools that must not be called."""


class Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None


class Function(msgspec.Struct):
    name: str
    arguments: str


class Custom(msgspec.Struct):
    name: str
    input: str


class FunctionToolCall(msgspec.Struct, tag="function", tag_field="type"):
    id: str
    function: Function


class CustomToolCall(msgspec.Struct, tag="custom", tag_field="type"):
    id: str
    custom: Custom


class ChatMessage(msgspec.Struct):
    role: Role
    content: str | list[Part] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[FunctionToolCall | CustomToolCall] | None = None
    function_call: Function | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool = False
    include_obfuscation: bool | None = None


class JsonSchema(msgspec.Struct):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    seed: Int64 | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    max_tokens: Positive = None
    max_completion_tokens: Positive = None
    store: bool | None = None
    metadata: Metadata = None
    nanosmith: Extension | None = None
    # refused, or accepted only when they ask for nothing
    tools: list[Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    functions: list[Any] | None = None
    function_call: str | dict[str, Any] | None = None
    audio: Any = None
    modalities: list[Literal["text", "audio"]] | None = None
    web_search_options: Any = None
    moderation: Any = None
    # checked, then ignored
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    parallel_tool_calls: bool | None = None
    prediction: Any = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    safety_identifier: Name = None
    user: str | None = None


def check(request: ChatRequest) -> None:
    """Refuse what a model that answers with labels cannot do. Raises InputError naming the parameter."""
    _check_tools(request)
    check_common(request)


def check_common(request: ChatRequest) -> None:
    """Refuse what no model here can do. Raises InputError naming the parameter."""
    _check_kinds(request)
    if request.metadata and not request.store:
        raise refused("metadata", "it is only kept with a stored completion", "no metadata without store")
    if request.top_logprobs is not None and not request.logprobs:
        raise refused("top_logprobs", "it needs logprobs", "logprobs true")
    if request.nanosmith is not None and request.nanosmith.explain and request.stream:
        raise refused("nanosmith.explain", "an explanation does not come as a stream", "explain false, or no stream")
    if request.stream_options is not None and not request.stream:
        raise refused("stream_options", "it needs a stream", "stream true")


def ignored(request: ChatRequest, given: dict[str, Any]) -> list[str]:
    """Names of parameters in the request that change nothing, unknown ones included."""
    return idle_names(request, given, IGNORED)


def idle_names(request: ChatRequest, given: dict[str, Any], neutral: Mapping[str, Sequence[Any]]) -> list[str]:
    """The same, by the table of a kind of model."""
    idle = without_effect(request, neutral)
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        idle.append("stream_options.include_obfuscation")
    return idle + unknown(request, given)


def without_effect(request: msgspec.Struct, neutral: Mapping[str, Sequence[Any]]) -> list[str]:
    """Names of parameters that change nothing, by the values of each that ask for nothing else."""
    return [name for name, values in neutral.items() if getattr(request, name) not in (None, *values)]


def unknown(request: msgspec.Struct, given: dict[str, Any]) -> list[str]:
    """Names in the body that the request does not know, as far as a header can hold them."""
    names = [name for name in given if name not in request.__struct_fields__ and HEADER_NAME.fullmatch(name)]
    return names[:MAX_NAMED]


def turns(request: ChatRequest) -> tuple[Message, ...]:
    """The messages as text. Raises InputError for images, audio and other parts that are not text."""
    return tuple(Message(m.role, _text(m, f"messages[{i}]")) for i, m in enumerate(request.messages))


def _text(message: ChatMessage, where: str) -> str:
    if isinstance(message.content, str):
        return message.content
    if message.content is None:
        if message.role not in ("assistant", "function"):
            raise InputError("the message has no content", got=f"role {message.role}", param=f"{where}.content")
        return ""
    return "\n".join(_part(part, f"{where}.content[{i}]") for i, part in enumerate(message.content))


def _part(part: Part, where: str) -> str:
    text = part.text if part.type == "text" else part.refusal
    if part.type not in TEXT_PARTS:
        raise not_text(part.type, where, "parts of type text")
    if text is None:
        raise InputError("the part has no text", param=where)
    return text


def _check_tools(request: ChatRequest) -> None:
    for param, offered, chosen in (
        ("tools", request.tools, request.tool_choice),
        ("functions", request.functions, request.function_call),
    ):
        if offered and chosen != "none":
            raise refused(param, "this model answers with labels and calls no tools", 'tool_choice "none"')
    for param, chosen in (("tool_choice", request.tool_choice), ("function_call", request.function_call)):
        if chosen not in (None, "none", "auto"):
            raise refused(param, "this model calls no tools", '"none" or "auto"')


def _check_kinds(request: ChatRequest) -> None:
    if request.audio is not None:
        raise refused("audio", "this model answers with text", "nothing")
    if "audio" in (request.modalities or ()):
        raise refused("modalities", "this model answers with text", '["text"]')
    for param in ("web_search_options", "moderation"):
        if getattr(request, param) is not None:
            raise refused(param, "this server has no such service", "nothing")


def refused(param: str, why: str, allowed: str) -> InputError:
    return InputError(f"{param} is refused: {why}", allowed=allowed, param=param, code="unsupported_parameter")
