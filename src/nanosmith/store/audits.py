"""What the watch over a route's certificate has to remember: one document per route, and one per alarm."""

from __future__ import annotations

import time
from typing import Any

from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import Document

AUDIT, ALARM = "route.audit", "route.alarm"


def read_audit(ledger: Ledger, route: str) -> dict[str, Any] | None:
    """The state as it was last written, None where there is none."""
    found = ledger.document(AUDIT, route)
    return None if found is None else found.body


def write_audit(ledger: Ledger, route: str, state: dict[str, Any], alarm: dict[str, Any] | None = None) -> str | None:
    """Keep the state, and an alarm in the same transaction; the alarm's id. Raises StorageFull, Unavailable."""
    now = int(time.time())
    row = None if alarm is None else Document(ALARM, new_id("alarm_"), now, alarm, parent=route)
    also = [] if row is None else [row]
    if ledger.update_document(AUDIT, route, body=state, also=also) is None:
        ledger.add(Document(AUDIT, route, now, state), *also)
    return None if row is None else row.id


def alarms(ledger: Ledger, route: str, limit: int = 100) -> list[Document]:
    """Newest first."""
    return list(ledger.documents(ALARM, parent=route, limit=limit))
