"""What the endpoints share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from anyio import CapacityLimiter
from starlette.requests import Request

from nanosmith.server.models_cache import ModelCache
from nanosmith.store.blobs import BlobFolder
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger

if TYPE_CHECKING:
    from nanosmith.jobs.supervisor import Supervisor

MAX_UPLOADS = 8
"""Uploads at the same time; each holds a thread, others wait."""


class Services:
    def __init__(self, home: Home, supervisor: Supervisor | None = None) -> None:
        self.home = home
        self.ledger = Ledger(home.ledger)
        self.blobs = BlobFolder(home.blobs)
        self.models = ModelCache(home, self.ledger)
        self.supervisor = supervisor
        self.uploads = CapacityLimiter(MAX_UPLOADS)
        self.job_creation = threading.Lock()
        self.job_keys: OrderedDict[str, str] = OrderedDict()  # Idempotency-Key → job id

    def wake(self) -> None:
        """Tell the supervisor that a job was queued or is to be stopped."""
        if self.supervisor is not None:
            self.supervisor.wake()


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found
