"""Models of records for the tests of the server."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import msgspec

from nanosmith.core.record import Field, RecordForm
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing.records import BOOKING, BOOKING_WORDS, INVOICE, INVOICE_WORDS, tiny_record

FUNCTION = "file_invoice"
TEXT = "Invoice 4711 of 3 May 2026, total 1250, overdue"
RECORD = {"number": "4711", "date": "2026-05-03", "total": 1250, "status": "overdue"}


DOCS_MODEL = "ft:nanosmith-nano:local:invoices:abcd1234"
DOCS_FORM = RecordForm((Field(("number",), "span"), Field(("total",), "span", normal="number", missing="null")))
DOCS_WORDS = {"4711": "number", "1250": "total"}


def add_records(home: Home) -> None:
    """invoices: fields, some of which may be missing; filing: the same, trained on calls; booking: a label and
    entities."""
    add_record(home, "invoices", INVOICE, INVOICE_WORDS)
    add_record(home, "filing", msgspec.structs.replace(INVOICE, function=FUNCTION), INVOICE_WORDS)
    add_record(home, "booking", BOOKING, BOOKING_WORDS)


def add_record(home: Home, name: str, form: RecordForm, words: Mapping[str, str]) -> None:
    home.bundles.mkdir(exist_ok=True)
    folder = home.bundles / f"record-{name.replace(':', '-')}"
    bundle = tiny_record(folder, form, words, name=name)
    with closing(open_ledger(home)) as ledger:
        ledger.add_model(ModelRow(name, 1_700_000_000, folder.name, bundle.digest, "nanosmith-nano"))
