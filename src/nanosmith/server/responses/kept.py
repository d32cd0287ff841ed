"""Responses as objects of the API, and as they are kept with the conversation that they end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool

from nanosmith.core.errors import NotFound
from nanosmith.server.http.idempotency import Once
from nanosmith.server.responses.items import Conversation, conversation
from nanosmith.server.responses.request import ResponseRequest
from nanosmith.server.services import Services
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document

KIND = "response"
ITEMS = "input"
"""Where a document's body holds the items that a response was made from, those of earlier responses included: so that
a conversation goes on when an earlier part of it was deleted."""
ECHOED = ("instructions", "previous_response_id", "max_output_tokens", "max_tool_calls", "temperature", "top_p")
ECHOED_WHEN_GIVEN = ("prompt_cache_key", "safety_identifier", "user")


async def conversation_of(home: Services, asked: ResponseRequest) -> Conversation:
    """What a request is about: the kept items of earlier responses, then its own. Raises InputError, NotFound."""
    before = await run_in_threadpool(_before, home.ledger, asked.previous_response_id)
    return conversation(before, asked.input)


def begun(asked: ResponseRequest, id: str, created: int, model: str) -> dict[str, Any]:
    """A response without output."""
    given = {name: getattr(asked, name) for name in ECHOED_WHEN_GIVEN if getattr(asked, name) is not None}
    reasoning = asked.reasoning
    return {
        "id": id, "object": "response", "created_at": float(created), "status": "in_progress",
        "background": False, "error": None, "incomplete_details": None, "model": model, "output": [],
        "text": _text(asked), "tools": [_tool(tool) for tool in msgspec.to_builtins(asked.tools or [])],
        "tool_choice": asked.tool_choice or "auto", "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "reasoning": {"effort": reasoning and reasoning.effort, "summary": reasoning and reasoning.summary},
        "truncation": asked.truncation or "auto", "top_logprobs": asked.top_logprobs or 0,
        "service_tier": "default", "store": asked.store is not False, "metadata": asked.metadata or {},
    } | {name: getattr(asked, name) for name in ECHOED} | given  # fmt: skip


def ended(response: dict[str, Any], output: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
    """The same response when all is there."""
    return response | {"status": "completed", "completed_at": time.time(), "output": output, "usage": usage}


def _before(ledger: Ledger, id: str | None) -> Sequence[dict[str, Any]]:
    """The conversation up to a response, its answer included. Raises NotFound."""
    if id is None:
        return ()
    document = ledger.document(KIND, id)
    if document is None:
        raise NotFound(
            "the previous response does not exist",
            got=repr(id[:80]), param="previous_response_id", code="previous_response_not_found",
            remedy="It was deleted, made with store false, or never made.",
        )  # fmt: skip
    return [*document.body[ITEMS], *document.body[KIND]["output"]]


def _text(asked: ResponseRequest) -> dict[str, Any]:
    shown = {"format": msgspec.to_builtins(asked.format)}
    verbosity = asked.text and asked.text.verbosity
    return shown | {"verbosity": verbosity} if verbosity else shown


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tool.items() if name != "description" or value is not None}


def document(response: dict[str, Any], made_from: Conversation) -> Document:
    return Document(
        KIND, response["id"], int(response["created_at"]), {KIND: response, ITEMS: list(made_from.items)},
        parent=response["previous_response_id"], status=response["status"], model=response["model"],
        metadata=response["metadata"],
    )  # fmt: skip


def keep(home: Services, row: Document, asked: Once) -> dict[str, Any]:
    """The response, kept; or, when a client repeats a request because it saw no answer, the one that was kept then."""
    with home.creation:
        known = asked.earlier(home.ledger, partial(home.ledger.document, KIND))
        if known is None:
            home.ledger.add(row, asked.record(row.id))
    response: dict[str, Any] = (known or row).body[KIND]
    return response
