"""Changes of the database's schema, one file each in `versions`, run by Alembic.

A new one is written by hand: copy the newest, number it, and raise HEAD in nanosmith.store.ledger.schema. Migrations
describe the tables as they were and use nothing of the program that may change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

SCRIPTS = ScriptDirectory(str(Path(__file__).parent))


def upgrade(link: sa.Connection, target: str = "head") -> None:
    """Run what is missing up to `target`, in the transaction of `link`."""

    def missing(version: Any, _context: MigrationContext) -> Any:
        return SCRIPTS._upgrade_revs(target, version)

    context = MigrationContext.configure(link, opts={"fn": missing})
    with Operations.context(context):
        context.run_migrations()
