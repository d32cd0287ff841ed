"""What a model can answer, told by its manifest without opening it."""

from __future__ import annotations

from nanosmith.core.errors import NotFound
from nanosmith.core.route import Route
from nanosmith.core.task import Task
from nanosmith.server.models.names import callable_model
from nanosmith.server.routes.rules import check_caller
from nanosmith.server.services import Services
from nanosmith.store.bundles import read_manifest


def task_of(home: Services, name: str) -> Task | None:
    """That of a model; of a route, that for whose labels its models are asked, None where they may answer anything.
    Raises ModelNotFound, Damaged, NotAllowed."""
    route = home.shared.routing.find(name)
    if route is None:
        return _task(home, name)
    check_caller(route, home.ledger.project)
    return next((task for task in _tasks(home, route) if task.kind in ("choice", "labels")), None)


def _tasks(home: Services, route: Route) -> list[Task]:
    """Of the local models that there are."""
    found = []
    for step in route.steps:
        if not home.shared.routing.is_remote(step.model):
            try:
                found.append(_task(home, step.model))
            except NotFound:
                continue
    return found


def _task(home: Services, name: str) -> Task:
    row, project = callable_model(home.ledger, name)
    return read_manifest(home.home.of(project).bundles / row.bundle).task
