"""Watches the certificates of all routes of a server: an observer of their answers, and the keeper of thresholds."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from nanosmith.core.errors import NanosmithError, NotFound
from nanosmith.core.route import Route
from nanosmith.server.audit.telling import tell_outdated
from nanosmith.server.audit.watch import WatchedRoute
from nanosmith.server.routes.observers import RouteEvent
from nanosmith.store import certificates
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.purse import Purse

FRESH_S = 1.0
"""How long what was found of a certificate is believed: a new one, another model, and what other processes have seen of
it, counts so much later."""
THREADS = 4
MOST_WAITING = 1_000
"""Requests that wait to be looked at; what comes on top is passed over."""
log = logging.getLogger("nanosmith.audit")


class Auditor:
    """An Observer of routes, whose `threshold` a route's certified step has to reach."""

    def __init__(self, home: Home, ledger: Ledger, purse: Purse) -> None:
        self._home, self._ledger, self._purse = home, ledger, purse
        self._routes: dict[str, tuple[float, WatchedRoute | None]] = {}  # when they were found (monotonic seconds)
        self._said: dict[str, str] = {}
        self._finding = threading.Lock()
        self._finder = ThreadPoolExecutor(1, thread_name_prefix="certificate")
        self._threads: ThreadPoolExecutor | None = None
        self._waiting = 0

    def threshold(self, route: str, model: str, digest: str | None = None) -> float | None:
        """From which confidence on the model's answers are accepted now; None where no certificate of it holds.
        `digest` is that of the model which answered, where it is known."""
        found = self._found(route)
        if found is None or found.certificate.model != model:
            return None
        return found.threshold if digest in (None, found.certificate.model_digest) else None

    def wants(self, route: Route) -> bool:
        """Those with a certified step, which was asked for its threshold."""
        return route.name in self._routes

    def answered(self, event: RouteEvent) -> None:
        if self._waiting >= MOST_WAITING or not event.messages:
            return
        self._waiting += 1
        self._pool().submit(self._look, event)

    def close(self) -> None:
        """Finish what waits, and keep the states."""
        self._finder.shutdown()
        if self._threads is not None:
            self._threads.shutdown()
        for _, watched in self._routes.values():
            if watched is not None:
                watched.share()

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="audit")
        return self._threads

    def _look(self, event: RouteEvent) -> None:
        try:
            _, watched = self._routes[event.route.name]
            if watched is not None:
                watched.look(event)
        except NanosmithError as error:
            self._say(f"{event.route.name}, audit", f"a request of {event.route.name} was not audited: {error}")
        except Exception:
            log.exception("an audit failed")
        finally:
            self._waiting -= 1

    def _found(self, route: str) -> WatchedRoute | None:
        """As it was known; what is old is looked up again, by a thread, so that nobody waits."""
        read_at, found = self._routes.get(route, (None, None))
        if read_at is None:
            return self._find(route)
        if time.monotonic() - read_at > FRESH_S:
            self._routes[route] = time.monotonic(), found
            self._finder.submit(self._find, route)
        return found

    def _find(self, route: str) -> WatchedRoute | None:
        """The route with its newest certificate, None where that does not hold."""
        with self._finding:
            _, known = self._routes.get(route, (0.0, None))
            try:
                found = certificates.newest(self._home, route)
                if known is None or known.certificate != found:
                    known = WatchedRoute(found, self._home, self._ledger, self._purse)
                else:
                    known.share()
            except NanosmithError as error:
                self._say(route, f"nothing is accepted at the certified step of {route}: {error}")
                if not isinstance(error, NotFound):
                    tell_outdated(self._ledger, route, error)
                known = None
            self._routes[route] = time.monotonic(), known
            return known

    def _say(self, about: str, text: str) -> None:
        """Log it, once until it changes."""
        if self._said.get(about) != text:
            self._said[about] = text
            log.warning("%s", text)
