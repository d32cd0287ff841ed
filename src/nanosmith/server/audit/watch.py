"""One route under watch: its certificate, its guard, and what a request means for both."""

from __future__ import annotations

import logging
import random
import threading

import msgspec

from nanosmith.core.certificate import Certificate
from nanosmith.core.errors import NanosmithError
from nanosmith.score.agreement import same, sight_of
from nanosmith.server.audit.guard import Alarm, Guard, State
from nanosmith.server.audit.opinion import Opinions
from nanosmith.server.routes.observers import RouteEvent
from nanosmith.store.audits import read_audit, write_audit
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.purse import Purse

SAVE_EVERY = 25
"""Requests and comparisons, after which the state is written; alarms are written at once."""
log = logging.getLogger("nanosmith.audit")


class WatchedRoute:
    """Of one certificate; used by several threads, which take turns where the guard counts."""

    def __init__(self, certificate: Certificate, home: Home, ledger: Ledger, purse: Purse) -> None:
        self.certificate = certificate
        self._home, self._ledger, self._purse = home, ledger, purse
        self._lock = threading.Lock()
        self._opinions: Opinions | None = None
        self._unsaved = 0
        self.guard = Guard(certificate, self._kept())

    @property
    def threshold(self) -> float:
        return self.guard.threshold

    def look(self, event: RouteEvent) -> None:
        """Everything that one request tells: how it compares with the sample, and what the teacher says of it."""
        opinions = self._opened()
        answer = opinions.local(event.messages)
        sight = sight_of(opinions.task, event.messages, answer)
        with self._lock:
            alarm = self.guard.saw(sight)
            wanted = self.guard.wants(sight.confidence, event.route.audit, random.random)
            self._note(alarm)
        if not wanted or (event.private and opinions.is_remote):
            return
        theirs = event.value if event.step == self.certificate.teacher else None
        if theirs is None:
            theirs = opinions.teacher(event.messages, event.route.name, event.project)
        with self._lock:
            was = self.guard.state.believed
            alarm = self.guard.heard(sight, same(opinions.task, answer.answer, theirs))
            self._note(alarm, restored=self.guard.state.believed and not was)

    def save(self) -> None:
        with self._lock:
            self._save(None)

    def _note(self, alarm: Alarm | None, *, restored: bool = False) -> None:
        """Tell of what changed, and write the state from time to time."""
        self._unsaved += 1
        route = self.certificate.route
        if alarm is not None:
            log.warning("the certificate of %s is not believed any more, nothing is accepted: %s", route, alarm.text)
        if restored:
            log.warning("%s is believed again, from %.4f on", route, self.guard.threshold)
        if alarm is not None or restored or self._unsaved >= SAVE_EVERY:
            self._save(alarm)

    def _save(self, alarm: Alarm | None) -> None:
        self._unsaved = 0
        try:
            state = msgspec.to_builtins(self.guard.state)
            told = None if alarm is None else msgspec.to_builtins(alarm)
            write_audit(self._ledger, self.certificate.route, state, told)
        except NanosmithError as error:
            log.warning("the audit of %s could not be kept: %s", self.certificate.route, error)

    def _kept(self) -> State | None:
        body = read_audit(self._ledger, self.certificate.route)
        try:
            return None if body is None else msgspec.convert(body, State)
        except msgspec.ValidationError as error:
            log.warning("the audit of %s begins anew, its state cannot be read: %s", self.certificate.route, error)
            return None

    def _opened(self) -> Opinions:
        with self._lock:
            if self._opinions is None:
                self._opinions = Opinions(self.certificate, self._home, self._purse)
            return self._opinions
