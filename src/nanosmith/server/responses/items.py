"""The items of a conversation as they are kept and shown: whole, with ids, in the shapes of OpenAI's types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from nanosmith.core.errors import InputError, TooLong
from nanosmith.core.example import Message
from nanosmith.core.limits import MAX_MESSAGES
from nanosmith.server.decisions.request import Item, Part, Text, text_of, turns
from nanosmith.store.ledger import new_id

PREFIXES = {
    "message": "msg_", "function_call": "fc_", "function_call_output": "fco_", "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
}  # fmt: skip
NEEDED = {
    "function_call": ("name", "arguments"), "function_call_output": ("output",), "custom_tool_call": ("name", "input"),
    "custom_tool_call_output": ("output",),
}  # fmt: skip
CALLS = ("function_call", "custom_tool_call")


class Conversation(msgspec.Struct, frozen=True):
    """What a response was made from: `items` as they are kept, and `turns` as a model reads them, oldest first."""

    items: tuple[dict[str, Any], ...]
    turns: tuple[Message, ...]


def conversation(before: Sequence[dict[str, Any]], given: str | Sequence[Item] | None) -> Conversation:
    """The kept items of earlier responses, then the new input.

    Raises InputError for what is not text or not whole, TooLong for too many items.
    """
    new = [Item(role="user", content=given)] if isinstance(given, str) else list(given or ())
    if len(before) + len(new) > MAX_MESSAGES:
        raise TooLong(
            "the conversation is too long", got=f"{len(before) + len(new)} items", allowed=MAX_MESSAGES, param="input"
        )
    calls = [item["call_id"] for item in before if item["type"] in CALLS]
    said = turns(msgspec.convert(before, list[Item])) + turns(new, calls)
    return Conversation((*before, *(_kept(item, f"input[{i}]") for i, item in enumerate(new))), said)


def answer_item(text: str, logprobs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The message of an answer."""
    return {
        "id": new_id(PREFIXES["message"]), "type": "message", "role": "assistant", "status": "completed",
        "content": [_output_text(text) | {"logprobs": list(logprobs)}],
    }  # fmt: skip


def _kept(item: Item, where: str) -> dict[str, Any]:
    head = {"id": new_id(PREFIXES[item.type]), "type": item.type, "status": "completed"}
    if item.type == "message":
        return head | {"role": item.role, "content": _content(item, where)}
    for name in NEEDED[item.type]:
        if getattr(item, name) is None:
            raise InputError(f"{name} is missing", param=f"{where}.{name}", code="missing_required_parameter")
    if item.type in CALLS:
        return head | {"call_id": item.call_id} | {name: getattr(item, name) for name in NEEDED[item.type]}
    return head | {"call_id": item.call_id, "output": text_of(item.output or "", f"{where}.output")}


def _content(item: Item, where: str) -> list[dict[str, Any]]:
    show = _said if item.role == "assistant" else _asked
    return [show(part, f"{where}.content") for part in _parts(item.content or "")]


def _parts(given: Text) -> Iterable[Part]:
    return [Part("input_text", given)] if isinstance(given, str) else given


def _asked(part: Part, where: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text_of([part], where)}


def _said(part: Part, where: str) -> dict[str, Any]:
    text = text_of([part], where)
    return {"type": "refusal", "refusal": text} if part.type == "refusal" else _output_text(text)


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
