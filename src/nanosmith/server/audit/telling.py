"""What people are told of a route's certificate: in the log, and by webhooks of the default project."""

from __future__ import annotations

import logging

import msgspec

from nanosmith.core.errors import NanosmithError
from nanosmith.jobs.webhooks.webhooks import CERTIFICATE_RESTORED, CERTIFICATE_SUSPENDED, announce
from nanosmith.server.audit.guard import Alarm
from nanosmith.store.audits import alarm_row, alarms, alone
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document

log = logging.getLogger("nanosmith.audit")


def suspension(ledger: Ledger, route: str, alarm: Alarm) -> list[Document]:
    """What belongs into the transaction that suspends a certificate."""
    told = announce(ledger, CERTIFICATE_SUSPENDED, route, reason=alarm.kind, text=alarm.text)
    return [alarm_row(route, msgspec.to_builtins(alarm)), *told]


def restoration(ledger: Ledger, route: str, threshold: float) -> list[Document]:
    """The same, where it is believed again."""
    return announce(ledger, CERTIFICATE_RESTORED, route, text=f"local answers are accepted from {threshold:.4f} on")


def tell_outdated(ledger: Ledger, route: str, error: NanosmithError) -> None:
    """Of a certificate that is there and does not count; once, whichever process finds it."""
    try:
        with alone(ledger):
            last = alarms(ledger, route, 1)
            if not last or last[0].body["text"] != str(error):
                ledger.add(*suspension(ledger, route, Alarm("outdated", 0, 0.0, str(error))))
    except NanosmithError as trouble:
        log.warning("nobody could be told that the certificate of %s does not count: %s", route, trouble)
