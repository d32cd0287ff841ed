"""Shared by the tests of migration: an opened data folder, and plans for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nanosmith.core.watch import Watch
from nanosmith.server.migration.plan import Item, Plan
from nanosmith.server.migration.planner import make_plan
from nanosmith.server.services import Services, open_services
from nanosmith.store.home import Home


@pytest.fixture
def here(home: Home) -> Iterator[Services]:
    opened = open_services(home)
    yield opened
    opened.ledger.close()


@pytest.fixture
def plan_of(here: Services) -> Callable[..., Plan]:
    """The plan for files or folders; `named` are files by their ids."""

    def plan_of(*paths: Path, **options: object) -> Plan:
        given = {"named": {}, "watch": Watch()} | options
        return make_plan(here, paths, **given)  # type: ignore[arg-type]

    return plan_of


@pytest.fixture
def item_of(plan_of: Callable[..., Plan]) -> Callable[..., Item]:
    """The only item of a plan, of this kind if one is given."""

    def item_of(*paths: Path, kind: str | None = None, **options: object) -> Item:
        (item,) = [one for one in plan_of(*paths, **options).items if kind in (None, one.kind)]
        return item

    return item_of
