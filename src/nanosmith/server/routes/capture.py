"""Keeps what passes through routes with `capture`: written in batches by one thread, never in the way of an answer."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from nanosmith.core.errors import NanosmithError
from nanosmith.core.example import Message
from nanosmith.core.route import Route
from nanosmith.data.audit.pii import mask_pii
from nanosmith.server.routes.observers import RouteEvent
from nanosmith.store.captures import CAPTURE, Capture, as_document, capture_id
from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import Document

WRITE_EVERY_S = 0.5
PURGE_EVERY_S = 3_600.0
"""Between two removals of what was kept for long enough."""
MOST_WAITING = 10_000
"""Requests that wait to be written; what comes on top is not kept, and the log says so."""
log = logging.getLogger("nanosmith.server")


class Capturer:
    """An Observer of routes. What was answered in the last WRITE_EVERY_S seconds is lost if the process is killed: it
    is a sample of the traffic, no promise to anybody."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: deque[tuple[str, Document]] = deque()
        self._lost = 0
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def wants(self, route: Route) -> bool:
        return bool(route.capture)

    def answered(self, event: RouteEvent) -> None:
        if event.private:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
            return
        self._waiting.append((event.project, _document(event)))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what waits."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        purge_at_s = 0.0
        while not self._closed.wait(WRITE_EVERY_S):
            self.write()
            if time.monotonic() >= purge_at_s:
                purge_at_s = time.monotonic() + PURGE_EVERY_S
                self._purge()
        self.write()

    def _purge(self) -> None:
        try:
            self._ledger.purge(CAPTURE, int(time.time()))
        except NanosmithError as error:
            log.warning("old captured requests were not removed: %s", error)

    def write(self) -> None:
        """Write all that waits, of each project in one transaction."""
        if self._lost:
            log.warning("%d requests of routes were not captured: the database is too slow", self._lost)
            self._lost = 0
        by_project: dict[str, list[Document]] = {}
        while self._waiting:
            project, row = self._waiting.popleft()
            by_project.setdefault(project, []).append(row)
        for project, rows in by_project.items():
            try:
                self._ledger.of(project).add(*rows)
            except NanosmithError as error:
                log.warning("%d requests of routes were not captured: %s", len(rows), error)
            except Exception:
                log.exception("%d requests of routes were not captured", len(rows))


def _document(event: RouteEvent) -> Document:
    masked = event.route.capture == "masked"
    messages, answer = tuple(event.messages), event.content
    if masked:
        messages, answer = tuple(Message(turn.role, mask_pii(turn.content)) for turn in messages), mask_pii(answer)
    # Only what is stored can be corrected, by its id; others may have any id.
    id = capture_id(event.id) if event.body.get("store") else new_id("capture-")
    one = Capture(
        id, messages, answer, event.step, int(time.time()), event.confidence,
        is_last=any(step.model == event.step for step in event.route.tiers[-1]), by_lot=len(event.tried) == 1,
    )  # fmt: skip
    return as_document(event.route.name, one, event.body.get("metadata"))
