"""What a response of a record model has that one of a label model has not: functions, and calls of them."""

from __future__ import annotations

from typing import Any

import msgspec

from nanosmith.server.chat.request import ChatRequest
from nanosmith.server.responses import generate
from nanosmith.server.responses.items import PREFIXES
from nanosmith.server.responses.request import ResponseRequest
from nanosmith.store.ledger import new_id


def with_tools(question: ChatRequest, asked: ResponseRequest) -> ChatRequest:
    """The question with the functions of the request, as a chat completion has them."""
    whole = generate.as_chat(asked, ())
    return msgspec.structs.replace(question, tools=whole.tools, tool_choice=whole.tool_choice)


def call_item(call: dict[str, Any]) -> dict[str, Any]:
    """The item of a chat completion's call."""
    head: dict[str, Any] = {"id": new_id(PREFIXES["function_call"]), "type": "function_call", "status": "completed"}
    return {**head, "call_id": call["id"], **call["function"]}
