"""What a model can answer, told by its manifest without opening it."""

from __future__ import annotations

from nanosmith.core.task import Task
from nanosmith.server.models.names import callable_model
from nanosmith.server.services import Services
from nanosmith.store.bundles import read_manifest


def task_of(home: Services, name: str) -> Task:
    """Raises ModelNotFound, Damaged."""
    row, project = callable_model(home.ledger, name)
    return read_manifest(home.home.of(project).bundles / row.bundle).task
