"""One route under watch: its certificate, its guard, and what a request means for both."""

from __future__ import annotations

import logging
import random
import threading
from typing import TypeAlias

import msgspec

from nanosmith.core.certificate import Certificate
from nanosmith.core.errors import NanosmithError
from nanosmith.score.agreement import same, sight_of
from nanosmith.score.drift import Sight
from nanosmith.server.audit.guard import Alarm, Guard, State, is_newer
from nanosmith.server.audit.opinion import Opinions
from nanosmith.server.audit.telling import restoration, suspension
from nanosmith.server.routes.observers import RouteEvent
from nanosmith.store.audits import alone, read_audit, write_audit
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.purse import Purse
from nanosmith.store.records import Document

SHARE_EVERY = 200
"""Requests and comparisons, after which the state is written, if it was not before; alarms are written at once."""
News: TypeAlias = tuple[Sight, bool | None]
"""A request; or a comparison, and whether both agree."""
log = logging.getLogger("nanosmith.audit")


class WatchedRoute:
    """Of one certificate; used by several threads, which take turns where the guard counts.

    Other processes may answer for the route, too, and all have one state, that of the ledger: what is new here is
    added to what the others have written meanwhile.
    """

    def __init__(self, certificate: Certificate, home: Home, ledger: Ledger, purse: Purse) -> None:
        self.certificate = certificate
        self._home, self._ledger, self._purse = home, ledger, purse
        self._lock = threading.Lock()
        self._opinions: Opinions | None = None
        self._revision: str | None = ""
        self._news: list[News] = []
        self._changes: list[Alarm | None] = []  # by the news; None: the certificate is believed again
        self.guard = Guard(certificate)
        self.share()

    @property
    def threshold(self) -> float:
        return self.guard.threshold

    def look(self, event: RouteEvent) -> None:
        """Everything that one request tells: how it compares with the sample, and what the teacher says of it."""
        opinions = self._opened()
        answer = opinions.local(event.messages)
        sight = sight_of(opinions.task, event.messages, answer)
        with self._lock:
            self._take(sight, None)
            wanted = self.guard.wants(sight.confidence, event.route.audit, random.random)
        if not wanted or (event.private and opinions.is_remote):
            return
        theirs = event.value if event.step == self.certificate.teacher else None
        if theirs is None:
            theirs = opinions.teacher(event.messages, event.route.name, event.project)
        with self._lock:
            self._take(sight, same(opinions.task, answer.answer, theirs))

    def share(self) -> None:
        """Take in what other processes have seen, and write what is new here."""
        with self._lock:
            self._share()

    def _take(self, sight: Sight, agrees: bool | None) -> None:
        known = len(self._changes)
        self._news.append((sight, agrees))
        self._hear(sight, agrees)
        if len(self._changes) > known or not len(self._news) % SHARE_EVERY:
            self._share()

    def _hear(self, sight: Sight, agrees: bool | None) -> None:
        was = self.guard.state.believed
        alarm = self.guard.saw(sight) if agrees is None else self.guard.heard(sight, agrees)
        if self.guard.state.believed != was:
            self._changes.append(alarm)

    def _share(self) -> None:
        """Without the ledger, all stays here until the next time."""
        try:
            with alone(self._ledger):
                self._catch_up()
                if self._news:
                    self._write()
        except NanosmithError as error:
            log.warning("the audit of %s could not be kept: %s", self.certificate.route, error)

    def _catch_up(self) -> None:
        """Go on from what is in the ledger, if that was not written here."""
        row = read_audit(self._ledger, self.certificate.route)
        if row is None or row.status == self._revision:
            return
        was, state = self.guard.state.believed, self._read(row)
        if state is not None and is_newer(state, self.certificate):  # which this process will find, too
            self._news, self._changes = [], []
            return
        self._revision, self.guard, self._changes = row.status, Guard(self.certificate, state), []
        if self.guard.state.believed != was:
            log.warning("%s: %s, as another process found", self.certificate.route, self._standing())
        for one in self._news:
            self._hear(*one)

    def _write(self) -> None:
        route, also = self.certificate.route, list[Document]()
        for alarm in self._changes:
            threshold = self.guard.state.threshold
            also += suspension(self._ledger, route, alarm) if alarm else restoration(self._ledger, route, threshold)
        self._revision = write_audit(self._ledger, route, msgspec.to_builtins(self.guard.state), also)
        for alarm in self._changes:
            log.warning("%s: %s%s", route, self._standing(), f": {alarm.text}" if alarm else "")
        self._news, self._changes = [], []

    def _standing(self) -> str:
        if not self.guard.state.believed:
            return "the certificate is not believed any more, nothing is accepted"
        return f"the certificate is believed again, from {self.guard.threshold:.4f} on"

    def _read(self, row: Document) -> State | None:
        try:
            return msgspec.convert(row.body, State)
        except msgspec.ValidationError as error:
            log.warning("the audit of %s begins anew, its state cannot be read: %s", self.certificate.route, error)
            return None

    def _opened(self) -> Opinions:
        with self._lock:
            if self._opinions is None:
                self._opinions = Opinions(self.certificate, self._home, self._purse)
            return self._opinions
