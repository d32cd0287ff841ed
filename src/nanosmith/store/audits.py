"""What the watch over a route's certificate has to remember: one document per route, and one per alarm.

All processes that answer for the route share them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import Document

AUDIT, ALARM = "route.audit", "route.alarm"


def read_audit(ledger: Ledger, route: str) -> Document | None:
    """The state as it was last written, in `body`, and its revision, in `status`; None where there is none."""
    return ledger.document(AUDIT, route)


def alone(ledger: Ledger) -> AbstractContextManager[None]:
    """Held, among all processes, from reading a state to writing what became of it."""
    return ledger.database.exclusively("audit")


def write_audit(ledger: Ledger, route: str, state: dict[str, Any], also: Iterable[Document] = ()) -> str:
    """Keep the state, and what belongs to it in the same transaction; its revision. Raises StorageFull, Unavailable."""
    revision, rows = new_id("rev_"), list(also)
    if ledger.update_document(AUDIT, route, body=state, status=revision, also=rows) is None:
        ledger.add(Document(AUDIT, route, int(time.time()), state, status=revision), *rows)
    return revision


def alarm_row(route: str, alarm: dict[str, Any]) -> Document:
    return Document(ALARM, new_id("alarm_"), int(time.time()), alarm, parent=route)


def alarms(ledger: Ledger, route: str, limit: int = 100) -> list[Document]:
    """Newest first."""
    return list(ledger.documents(ALARM, parent=route, limit=limit))
