"""Traffic of routes that is kept, with consent, as tomorrow's examples: requests, answers, and who gave them.

Documents of the kind CAPTURE whose parent is the route and whose model is the one that answered. Their `metadata` is
the feedback that a client gave: `correction` is the answer that had been right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from nanosmith.core.errors import Damaged
from nanosmith.core.example import Message
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document

CAPTURE = "capture"
KEPT_S = 30 * 86_400
"""How long a request is kept, in seconds."""
CORRECTION = "correction"
PAGE = 1_000


class Capture(msgspec.Struct, frozen=True):
    """One request and its answer, of Unix time `at`. `by` is the model of the step that answered, `confidence` in
    [0, 1] what it was sure of (None: it does not say), `is_last` whether that was the route's last step: its teacher.
    `by_lot`: no step before was asked, so that such requests are a fair sample of the traffic."""

    id: str
    messages: tuple[Message, ...]
    answer: str
    by: str
    at: int
    confidence: float | None = None
    is_last: bool = False
    by_lot: bool = False
    correction: str | None = None


def capture_id(completion: str) -> str:
    """Of the answer with this id."""
    return f"capture-{completion}"


def as_document(route: str, one: Capture, metadata: dict[str, str] | None = None) -> Document:
    body = msgspec.to_builtins(one)
    return Document(CAPTURE, one.id, one.at, body, route, None, one.by, metadata or None, one.at + KEPT_S)


def read_captures(ledger: Ledger, route: str) -> Iterator[Capture]:
    """Those of a route, newest first. Raises Damaged."""
    after = None
    while True:
        page = ledger.documents(CAPTURE, parent=route, after=after, limit=PAGE)
        yield from map(_capture, page)
        if not page.has_more:
            return
        after = page[-1].id


def count_captures(ledger: Ledger, route: str) -> int:
    return ledger.count_documents(CAPTURE, parent=route)


def give_feedback(ledger: Ledger, completion: str, metadata: dict[str, str] | None) -> bool:
    """What a client says of an answer; whether it was captured."""
    return ledger.update_document(CAPTURE, capture_id(completion), metadata=metadata) is not None


def _capture(row: Document) -> Capture:
    correction: Any = (row.metadata or {}).get(CORRECTION)
    try:
        return msgspec.convert(row.body | {"correction": correction or None}, Capture)
    except msgspec.ValidationError as error:
        raise Damaged("a captured request cannot be read", where=row.id, got=str(error)) from error
