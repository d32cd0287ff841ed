"""Sends the deliveries of webhooks, again and again until they are taken or too old.

Several couriers may run on one ledger. Each claims a delivery by moving the time when it is due: one of them finds it
as it was. A courier that dies has its claim run out. So each delivery is sent at least once, and always with the same
id; a receiver drops what it knows.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Any

import msgspec

from nanosmith.jobs.webhooks.post import NoAnswer, post
from nanosmith.jobs.webhooks.webhooks import DELIVERY, ENDPOINT, Delivery, Endpoint
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.records import Document

POLL_S = 1.0
TROUBLE_S = 5.0
CLAIM_S = 60  # longer than an attempt takes: nanosmith.jobs.webhooks.post.TIMEOUT_S, and the look-up of the host
FIRST_S, FACTOR, MOST_S = 5.0, 3.0, 6 * 3600.0
"""The pause after the first failure; by what it grows with each; and up to what."""
JITTER = (0.75, 1.25)
GIVE_UP_S = 3 * 24 * 3600
KEEP_S = 30 * 24 * 3600  # what was taken, or given up, can be looked up so long
SWEEP_S = 3600.0
AT_ONCE = 8  # endpoints; each gets one message at a time, so that a slow one keeps no other waiting
STOP_S = 1.0
log = logging.getLogger("nanosmith.jobs")


class Courier:
    """A thread, and one more for each endpoint that is being told something."""

    def __init__(self, home: Home, *, poll_s: float = POLL_S) -> None:
        self._home = home
        self._poll_s = poll_s
        self._busy: dict[str, threading.Thread] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._swept_s = 0.0
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What is being sent may be sent again by the next courier."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2 * STOP_S)

    def _run(self) -> None:
        ledger = open_ledger(self._home)
        while not self._stopping.is_set():
            wait_s = self._poll_s
            try:
                self._turn(ledger)
            except Exception:
                log.exception("the courier of webhooks met an error and goes on")
                wait_s = TROUBLE_S
            self._wake.wait(wait_s)
            self._wake.clear()
        until = time.monotonic() + STOP_S
        for thread in self._busy.values():
            thread.join(max(0.0, until - time.monotonic()))
        if not any(thread.is_alive() for thread in self._busy.values()):
            ledger.close()

    def _turn(self, ledger: Ledger) -> None:
        if time.monotonic() - self._swept_s > SWEEP_S or not self._swept_s:
            self._swept_s = time.monotonic()
            sweep(ledger)
        self._busy = {id: thread for id, thread in self._busy.items() if thread.is_alive()}
        now = int(time.time())
        for row in ledger.due_documents(DELIVERY, now, status="waiting", besides=list(self._busy)):
            endpoint = row.parent or ""
            if len(self._busy) >= AT_ONCE:
                return
            own = ledger.of(row.project)
            if endpoint not in self._busy and (claimed := claim(own, row)) is not None:
                thread = threading.Thread(target=self._deliver, args=(own, claimed), name=row.id, daemon=True)
                self._busy[endpoint] = thread
                thread.start()

    def _deliver(self, ledger: Ledger, row: Document) -> None:
        try:
            deliver(ledger, row)
        except Exception:
            log.exception("a webhook could not be dealt with")
        self._wake.set()


def claim(ledger: Ledger, row: Document) -> Document | None:
    """The delivery, for CLAIM_S; None when another courier has it, or it is done."""
    was = {"status": "waiting", "expires_at": row.expires_at}
    return ledger.update_document(DELIVERY, row.id, expect=was, expires_at=int(time.time()) + CLAIM_S)


def deliver(ledger: Ledger, row: Document) -> None:
    """Send a claimed delivery, and write down what became of it."""
    found = ledger.document(ENDPOINT, row.parent or "")
    if found is None:
        ledger.delete_document(DELIVERY, row.id)
        return
    delivery = msgspec.convert(row.body, Delivery)
    problem = send(msgspec.convert(found.body, Endpoint), row.id, msgspec.json.encode(delivery.event))
    now = int(time.time())
    tried = msgspec.structs.replace(delivery, attempts=delivery.attempts + 1, tried_at=now, problem=problem)
    new: dict[str, Any] = {"body": msgspec.to_builtins(tried)}
    if problem is None:  # whoever else has claimed it meanwhile: it was taken, and is not sent again
        ledger.update_document(
            DELIVERY, row.id, expect={"status": "waiting"}, status="delivered", expires_at=now + KEEP_S, **new
        )
        return
    new |= (
        {"status": "failed", "expires_at": now + KEEP_S}
        if now >= row.created_at + GIVE_UP_S
        else {"expires_at": now + pause_s(tried.attempts)}
    )
    ledger.update_document(DELIVERY, row.id, expect={"status": "waiting", "expires_at": row.expires_at}, **new)


def pause_s(attempts: int) -> int:
    """Until the next attempt, after so many: exponential, with jitter, so that those that failed together do not come
    back together."""
    grown = min(MOST_S, FIRST_S * FACTOR ** min(attempts - 1, 32))
    return max(1, round(grown * random.uniform(*JITTER)))  # noqa: S311  (no secret)


def send(endpoint: Endpoint, id: str, body: bytes) -> str | None:
    """Post a message; what was wrong, or None for any status of 2xx."""
    try:
        status = post(endpoint, id, body)
    except NoAnswer as error:
        return str(error)
    return None if 200 <= status < 300 else f"status {status}"


def sweep(ledger: Ledger) -> None:
    """Forget deliveries that ended long ago."""
    for status in ("delivered", "failed"):
        for row in ledger.due_documents(DELIVERY, int(time.time()), status=status):
            ledger.of(row.project).delete_document(DELIVERY, row.id)
