"""What the endpoints share; always of one project, the one whose key came with the request."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from anyio import CapacityLimiter
from starlette.requests import Request

from nanosmith.server.audit.auditor import Auditor
from nanosmith.server.embeddings.embedders import Embedders
from nanosmith.server.models.cache import ModelCache, OpenModels
from nanosmith.server.money.purse import Purse, budgets_in
from nanosmith.server.routes.capture import Capturer
from nanosmith.server.routes.routing import Routing
from nanosmith.store.blobs import open_blobs
from nanosmith.store.config import WatchedConfig
from nanosmith.store.home import DEFAULT_PROJECT, Home
from nanosmith.store.ledger import Ledger, open_ledger

if TYPE_CHECKING:
    from nanosmith.jobs.supervisor import Supervisor

MAX_UPLOADS = 8
"""Uploads at the same time; each holds a thread, others wait."""
PROJECT = "nanosmith.project"
"""Where the scope of a request names its project; Gate writes it."""


class Shared:
    """What all projects have in common."""

    def __init__(self, home: Home, ledger: Ledger, supervisor: Supervisor | None = None) -> None:
        self.supervisor = supervisor
        self.config = WatchedConfig(home)
        self.purse = Purse(ledger, lambda: budgets_in(self.config))
        self.routing = Routing(home, self.config)
        self.capturer = Capturer(ledger)
        self.routing.observers.add(self.capturer)
        self.auditor = Auditor(home.of(DEFAULT_PROJECT), ledger.of(DEFAULT_PROJECT), self.purse.own)
        self.routing.observers.add(self.auditor)
        self.routing.certified = self.auditor.threshold
        self.opened = OpenModels()
        self.embedders = Embedders()
        self.uploads = CapacityLimiter(MAX_UPLOADS)
        self.explaining = CapacityLimiter(1)
        self.of_project: dict[str, Services] = {}

    def close(self) -> None:
        """Book what was spent, and write what was captured. Waits for the ledger, which whoever opened it closes after
        this."""
        self.auditor.close()
        self.purse.close()
        self.capturer.close()


class Services:
    """One project's view of the data folder."""

    def __init__(self, home: Home, ledger: Ledger, shared: Shared) -> None:
        self.home = home
        self.ledger = ledger
        self.blobs = open_blobs(home)
        self.models = ModelCache(home, ledger, shared.opened)
        self.shared = shared

    @property
    def uploads(self) -> CapacityLimiter:
        return self.shared.uploads

    @property
    def creation(self) -> AbstractContextManager[None]:
        """Held, among all processes, while something is made that a repeated request must not make again."""
        return self.ledger.database.exclusively("creation")

    def of(self, project: str) -> Services:
        """The same server, as another project sees it."""
        known = self.shared.of_project
        if project not in known:
            known[project] = Services(self.home.of(project), self.ledger.of(project), self.shared)
        return known[project]

    def wake(self) -> None:
        """Tell the supervisor that there is work, or that some is to be stopped."""
        if self.shared.supervisor is not None:
            self.shared.supervisor.wake()


def open_services(home: Home, supervisor: Supervisor | None = None) -> Services:
    """Those of the home's own project; `of` gives the others'."""
    ledger = open_ledger(home)
    return Services(home, ledger, Shared(home, ledger, supervisor))


def services(request: Request) -> Services:
    """Those of the request's project."""
    all_projects: Services = request.app.state.services
    return all_projects.of(request.scope.get(PROJECT, DEFAULT_PROJECT))
