"""The request of a decision: OpenAI's input items and questions as structs, and the input as turns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.server.models.extension import Extension
from nanosmith.server.models.turns import not_text

ItemType: TypeAlias = Literal[
    "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"
]
Role: TypeAlias = Literal["user", "developer", "system", "assistant"]
TEXT_PARTS = ("input_text", "output_text", "text")
ALLOWED_PARTS = "parts of type input_text, output_text, input_json or refusal"


class Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    data: dict[str, Any] | list[dict[str, Any]] | None = None


Text: TypeAlias = str | list[Part]


class Item(msgspec.Struct):
    """A message, a tool call, or what a tool gave back."""

    type: ItemType = "message"
    role: Role | None = None
    content: Text | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: Text | None = None


class Choice(msgspec.Struct, frozen=True):
    value: str | bool
    description: str | None = None


class Level(msgspec.Struct, frozen=True):
    label: str
    description: str | None = None


class PredicateQuestion(msgspec.Struct, tag_field="type", tag="predicate"):
    instructions: Text
    name: str | None = None


class ChoiceQuestion(msgspec.Struct, tag_field="type", tag="choice"):
    instructions: Text
    choices: Annotated[list[Choice], Meta(min_length=2, max_length=255)]
    name: str | None = None


class ScoreQuestion(msgspec.Struct, tag_field="type", tag="score"):
    instructions: Text
    levels: Annotated[list[Level], Meta(min_length=2, max_length=255)]
    name: str | None = None


Question: TypeAlias = PredicateQuestion | ChoiceQuestion | ScoreQuestion


class DecisionRequest(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1)]
    input: str | Annotated[list[Item], Meta(min_length=1)]
    questions: Annotated[list[Question], Meta(min_length=1, max_length=400)]
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    nanosmith: Extension | None = None


IGNORED = ("prompt_cache_key", "prompt_cache_options", "safety_identifier")


def turns(given: str | Sequence[Item], calls: Iterable[str] = ()) -> tuple[Message, ...]:
    """The input as turns. A tool call is what the assistant said (`name: arguments`), its output a turn of the tool.

    `calls`: ids of calls that were made before this input. Raises InputError for parts that are not text, and for an
    output without its call.
    """
    if isinstance(given, str):
        return (Message("user", given),)
    called = set(calls)
    return tuple(_turn(item, f"input[{i}]", called) for i, item in enumerate(given))


def text_of(given: Text, where: str) -> str:
    if isinstance(given, str):
        return given
    return "\n".join(_part(part, f"{where}[{i}]") for i, part in enumerate(given))


def _turn(item: Item, where: str, called: set[str]) -> Message:
    if item.type == "message":
        if item.role is None or item.content is None:
            raise InputError("a message needs role and content", param=where, code="missing_required_parameter")
        return Message(item.role, text_of(item.content, f"{where}.content"))
    if item.call_id is None:
        raise InputError("call_id is missing", param=f"{where}.call_id", code="missing_required_parameter")
    if item.type in ("function_call", "custom_tool_call"):
        called.add(item.call_id)
        said = item.arguments if item.type == "function_call" else item.input
        return Message("assistant", f"{item.name or ''}: {said or ''}")
    if item.call_id not in called:
        raise InputError(
            "no call before this output has its call_id", got=repr(item.call_id[:80]), param=f"{where}.call_id"
        )
    return Message("tool", text_of(item.output or "", f"{where}.output"))


def _part(part: Part, where: str) -> str:
    if part.type in TEXT_PARTS and part.text is not None:
        return part.text
    if part.type == "refusal" and part.refusal is not None:
        return part.refusal
    if part.type == "input_json" and part.data is not None:
        return msgspec.json.encode(part.data).decode()
    raise not_text(part.type, where, ALLOWED_PARTS)
