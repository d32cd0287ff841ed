"""The request of a response: every parameter's range, and what a classifier must refuse.

A parameter is honoured, ignored (and named in a response header) or refused; docs/api.md has the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.fields import WITHOUT_NUL, Metadata
from nanosmith.server.chat.request import (
    ChatMessage,
    ChatRequest,
    JsonSchema,
    ResponseFormat,
    refused,
    unknown,
    without_effect,
)
from nanosmith.server.decisions.request import Item

Include: TypeAlias = Literal[
    "message.output_text.logprobs", "message.input_image.image_url", "reasoning.encrypted_content",
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "computer_call_output.output.image_url", "code_interpreter_call.outputs",
]  # fmt: skip
LOGPROBS: Include = "message.output_text.logprobs"
Summary: TypeAlias = Literal["auto", "concise", "detailed"] | None
MAX_INT = 2**53

REFUSED = {
    "conversation": "conversations are not kept here; previous_response_id continues one",
    "prompt": "this server keeps no prompt templates",
    "moderation": "this server has no such service",
}
IGNORED: dict[str, tuple[Any, ...]] = {
    "temperature": (0,), "top_p": (1,), "max_output_tokens": (), "max_tool_calls": (), "parallel_tool_calls": (),
    "reasoning": (), "service_tier": ("auto", "default"), "prompt_cache_key": (), "prompt_cache_options": (),
    "prompt_cache_retention": (), "safety_identifier": (), "user": (), "background_options": (),
    "context_management": (), "access_programs": (), "image": (),
}  # fmt: skip
"""Parameters without effect on a classifier's answer, with the values that ask for nothing else."""


class Format(msgspec.Struct, omit_defaults=True):
    """Flat, unlike in a chat completion: name, schema and strict stand beside the type."""

    type: Literal["text", "json_object", "json_schema"]
    name: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class Text(msgspec.Struct):
    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Tool(msgspec.Struct):
    """A function, flat as well; other types are refused."""

    type: str
    name: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class Reasoning(msgspec.Struct):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Summary = None
    generate_summary: Summary = None


class StreamOptions(msgspec.Struct):
    include_obfuscation: bool | None = None


class ResponseRequest(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1)]
    input: str | list[Item] | None = None
    instructions: str | None = None
    previous_response_id: Annotated[str, Meta(pattern=WITHOUT_NUL)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    metadata: Metadata = None
    include: list[Include] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    text: Text | None = None
    truncation: Literal["auto", "disabled"] | None = None
    # refused, or accepted only when they ask for nothing
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    moderation: Any = None
    # checked, then ignored
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=16, le=MAX_INT)] | None = None
    max_tool_calls: Annotated[int, Meta(ge=0, le=MAX_INT)] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    user: str | None = None
    background_options: Any = None
    context_management: Any = None
    access_programs: Any = None
    image: Any = None

    @property
    def wants_logprobs(self) -> bool:
        return LOGPROBS in (self.include or ())

    @property
    def format(self) -> Format:
        return (self.text and self.text.format) or Format("text")


def check(request: ResponseRequest) -> None:
    """Refuse what a model that answers with labels cannot do. Raises InputError naming the parameter."""
    _check_tools(request)
    check_common(request)


def check_common(request: ResponseRequest) -> None:
    """Refuse what no model here can do. Raises InputError naming the parameter."""
    if request.background:
        raise refused("background", "responses are made while the client waits", "background false")
    for param, why in REFUSED.items():
        if getattr(request, param) is not None:
            raise refused(param, why, "nothing")
    if request.top_logprobs and not request.wants_logprobs:
        raise refused("top_logprobs", f"it needs include {LOGPROBS}", f'include ["{LOGPROBS}"]')
    if request.stream_options is not None and not request.stream:
        raise refused("stream_options", "it needs a stream", "stream true")
    if not request.input and not (isinstance(request.input, str) or request.previous_response_id):
        raise InputError("there is no input", param="input", code="missing_required_parameter")
    if request.format.type == "json_schema":
        for name in ("name", "schema"):
            if getattr(request.format, name) is None:
                raise InputError(
                    f"the format has no {name}", param=f"text.format.{name}", code="missing_required_parameter"
                )


def ignored(request: ResponseRequest, given: dict[str, Any]) -> list[str]:
    """Names of parameters in the request that change nothing, unknown ones included."""
    return idle_names(request, given, IGNORED)


def idle_names(request: ResponseRequest, given: dict[str, Any], neutral: Mapping[str, Sequence[Any]]) -> list[str]:
    """The same, by the table of a kind of model."""
    idle = without_effect(request, neutral)
    if request.text is not None and request.text.verbosity is not None:
        idle.append("text.verbosity")
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        idle.append("stream_options.include_obfuscation")
    idle += [f"include.{name}" for name in dict.fromkeys(request.include or ()) if name != LOGPROBS]
    return idle + unknown(request, given)


def as_chat(request: ResponseRequest, turns: Sequence[Message]) -> ChatRequest:
    """The same question as a chat completion asks it, from which answers are made."""
    return ChatRequest(
        request.model,
        [ChatMessage(turn.role, turn.content) for turn in turns],  # type: ignore[arg-type]  # checked when read
        logprobs=request.wants_logprobs,
        top_logprobs=request.top_logprobs,
        response_format=response_format(request.format),
    )


def response_format(given: Format) -> ResponseFormat:
    if given.type != "json_schema":
        return ResponseFormat(given.type)
    schema = JsonSchema(given.name or "", given.schema, given.strict, given.description)
    return ResponseFormat(given.type, schema)


def _check_tools(request: ResponseRequest) -> None:
    for i, tool in enumerate(request.tools or ()):
        if tool.type != "function":
            raise refused(f"tools[{i}].type", "this server has no tools of its own", '"function"')
        if not tool.name:
            raise InputError("the function has no name", param=f"tools[{i}].name", code="missing_required_parameter")
    if request.tools and request.tool_choice != "none":
        raise refused("tools", "this model answers with labels and calls no tools", 'tool_choice "none"')
    if request.tool_choice not in (None, "none", "auto"):
        raise refused("tool_choice", "this model calls no tools", '"none" or "auto"')
