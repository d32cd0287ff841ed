"""The row of a batch: a Document whose body is the API's object, but for what has a column.

Both the process that works on it and a client that cancels change it: each change names the status that it found, so
that neither undoes what the other wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from nanosmith.core.errors import Cancelled
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document

KIND = "batch"
OPEN = ("validating", "in_progress", "finalizing", "cancelling")
EXPIRES_AFTER = "output_expires_after_s"
KEY = "key"
"""The id of the key that made the batch, whose budgets its requests are counted to."""
HIDDEN = (EXPIRES_AFTER, KEY)
"""Parts of the body that the API does not show."""


def batch_row(ledger: Ledger, id: str) -> Document:
    row = ledger.document(KIND, id)
    assert row is not None, "a work goes with its batch"
    return row


def change(
    ledger: Ledger, id: str, expect: Sequence[str], *, also: Sequence[msgspec.Struct] = (), end: bool = False,
    drop: Sequence[str] = (), status: str | None = None, **fields: Any,
) -> Document:  # fmt: skip
    """Set fields of the body, and `status`, of a batch in one of the states in `expect`; the rest as in
    Ledger.update_document. Raises Cancelled when it is in another state."""
    while True:
        row = batch_row(ledger, id)
        if row.status not in expect:
            raise Cancelled("the batch is in another state", where=id, got=row.status)
        changed = ledger.update_document(
            KIND, id, expect={"status": row.status}, also=also, end=end, drop=drop,
            body=row.body | fields, status=status or row.status,
        )  # fmt: skip
        if changed is not None:
            return changed
