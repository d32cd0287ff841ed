"""What all routes of one server share: the configuration, remote models and their health, and who is told."""

from __future__ import annotations

import fnmatch
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from nanosmith.core.errors import NanosmithError
from nanosmith.core.route import Route, Step
from nanosmith.predict.endpoint.catalogue import Catalogue, Provider, Remote, open_catalogue
from nanosmith.predict.endpoint.keys import key_of
from nanosmith.server.routes.health import HealthBook
from nanosmith.server.routes.lead import Leads
from nanosmith.server.routes.observers import Observers
from nanosmith.server.routes.transport import Transport
from nanosmith.server.routes.upstream import Upstream
from nanosmith.store.config import WatchedConfig
from nanosmith.store.home import Home

LOOK_S = 0.5
"""How old what is known of nanosmith.toml may be; KEY_S of keys."""
KEY_S = 60.0
log = logging.getLogger("nanosmith.server")


class Routing:
    """All projects share it. `certified` gives, of a route, a local model and its digest (None: whatever it is), the
    threshold of its newest certificate, None where none holds; whoever watches certificates puts itself there."""

    def __init__(self, home: Home, config: WatchedConfig) -> None:
        self._home = home
        self._watched = config
        self._looked_s = -math.inf
        self._providers: Mapping[str, Any] | None = None
        self._wrong_providers: NanosmithError | None = None
        self._catalogue = open_catalogue()
        self._keys: dict[str, tuple[float, str | None]] = {}
        self._always_allowed: tuple[str, ...] = ()
        self._transport = Transport()
        self.upstream = Upstream(self._transport, self._key_of)
        self.health = HealthBook()
        self.observers = Observers()
        self.leads = Leads()
        self.certified: Callable[[str, str, str | None], float | None] = lambda *_: None

    @property
    def routes(self) -> Mapping[str, Route]:
        """Those of nanosmith.toml as it is now."""
        now = time.monotonic()
        if now - self._looked_s > LOOK_S:
            self._looked_s = now
            self._watched.refresh()
        return self._watched.config.routes

    @property
    def problem(self) -> NanosmithError | None:
        """What is wrong with nanosmith.toml; what was read before holds then."""
        return self._watched.problem or self._wrong_providers

    @property
    def catalogue(self) -> Catalogue:
        """That of the file as it is now; where its providers are wrong, that of before."""
        providers = self._watched.config.providers
        if providers is not self._providers:
            self._providers, self._wrong_providers = providers, None
            try:
                self._catalogue = open_catalogue(providers)
            except NanosmithError as error:
                log.error("the providers of nanosmith.toml cannot be used: %s", error)
                self._wrong_providers = error
        return self._catalogue

    def allow_remote(self, *patterns: str) -> None:
        """Remote models that may be called by their own names, beside those that nanosmith.toml names."""
        self._always_allowed = patterns

    def find(self, model: str) -> Route | None:
        """The route of this name, or that to a remote model which may be called by its own; None for any other. Raises
        NotFound for a remote model that is not in the catalogue."""
        found = self.routes.get(model)
        if found is not None or "/" not in model or not self._may_call(model):
            return found
        return Route(name=model, steps=(Step(model=self.catalogue.find(model).name, tier=0),))

    def offered(self, project: str) -> list[str]:
        """Names of the routes that a project may call."""
        return [name for name, route in self.routes.items() if not route.projects or project in route.projects]

    def is_remote(self, model: str) -> bool:
        """Whether this is the name of a remote model."""
        return self.catalogue.names(model)

    def remote(self, model: str) -> Remote:
        """Raises NotFound."""
        return self.catalogue.find(model)

    def threshold(self, route: Route, step: Step, digest: str | None = None) -> float | None:
        """What the step's confidence must reach; None: any answer will do. Where no certificate of a model with this
        digest holds, nothing is enough."""
        if step.accept != "certified":
            return step.accept
        found = self.certified(route.name, step.model, digest)
        return math.inf if found is None else found

    async def close(self) -> None:
        """On the event loop that asked."""
        await self._transport.close()

    def _may_call(self, model: str) -> bool:
        patterns = (*self._always_allowed, *self._watched.config.remote)
        return any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns) and self.is_remote(model)

    def _key_of(self, provider: Provider) -> str | None:
        """Keys may be encrypted, which takes long to undo. Raises Misconfigured."""
        known, now = self._keys.get(provider.name), time.monotonic()
        if known is None or now - known[0] > KEY_S:
            known = self._keys[provider.name] = now, key_of(provider, self._home)
        return known[1]
