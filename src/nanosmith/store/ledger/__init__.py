"""The ledger: one file per kind of row, one per database."""

from nanosmith.store.ledger.jobs import new_event
from nanosmith.store.ledger.ledger import Ledger, open_ledger
from nanosmith.store.ledger.models import PERMISSION
from nanosmith.store.ledger.rows import ALPHABET, LeaseLost, Page, UnknownCursor, new_id
from nanosmith.store.ledger.work import LEASE_S

__all__ = [
    "ALPHABET",
    "LEASE_S",
    "PERMISSION",
    "LeaseLost",
    "Ledger",
    "Page",
    "UnknownCursor",
    "new_event",
    "new_id",
    "open_ledger",
]
