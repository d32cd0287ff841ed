"""Stored chat completions as training examples: each becomes one line of the chat format.

A stored completion is a Document of kind "chat.completion" whose body is
`{"completion": the object of the API, "messages": [{"role", "content": text or None, …}]}`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from nanosmith.data.readers.chat import check_record
from nanosmith.data.reading import BadLine
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document

KIND = "chat.completion"
PAGE = 100


class Exported(msgspec.Struct):
    """What became of the completions that were read: `skipped` counts them by the problem that `nanosmith check` would
    find; `last_id` is where a later export goes on."""

    lines: int = 0
    skipped: Counter[str] = msgspec.field(default_factory=Counter)
    last_id: str | None = None


def stored_completions(
    ledger: Ledger, *, model: str | None = None, metadata: Mapping[str, str] | None = None, after: str | None = None,
    limit: int | None = None,
) -> Iterator[Document]:  # fmt: skip
    """Oldest first, at most `limit`, read page by page. Raises UnknownCursor."""
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = ledger.documents(KIND, model=model, metadata=metadata, after=after, limit=size, newest_first=False)
        yield from page
        if not page.has_more:
            return
        after = page[-1].id
        left = None if left is None else left - len(page)


def training_lines(completions: Iterator[Document], exported: Exported) -> Iterator[bytes]:
    """A line for each completion that is a training example; `exported` is kept up to date."""
    for one in completions:
        exported.last_id = one.id
        try:
            line = training_line(one.body)
        except BadLine as bad:
            exported.skipped[bad.code] += 1
        else:
            exported.lines += 1
            yield line


def training_line(body: Mapping[str, Any]) -> bytes:
    """The request's messages and the first choice's answer. Earlier answers get weight 0: they were part of the input.

    Raises BadLine where that is no training example.
    """
    completion = body["completion"]
    said = completion["choices"][0]["message"]
    record = {"messages": [*map(_turn, body["messages"]), _answer(said)]}
    if said.get("tool_calls") and completion.get("tools"):
        record["tools"] = completion["tools"]
    check_record(record)
    return msgspec.json.encode(record) + b"\n"


def _answer(said: Mapping[str, Any]) -> dict[str, Any]:
    """What the assistant said, or the functions that it called."""
    return {"role": "assistant", "content": said["content"]} | _calls(said)


def _turn(message: Mapping[str, Any]) -> dict[str, Any]:
    turn = {"role": message["role"], "content": message["content"] or ""}
    return turn | _calls(message) | {"weight": 0} if message["role"] == "assistant" else turn


def _calls(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"tool_calls": message["tool_calls"]} if message.get("tool_calls") else {}
