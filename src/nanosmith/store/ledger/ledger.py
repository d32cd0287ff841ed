"""The ledger: everything that was acknowledged, in one database; what was committed survives a crash."""

from __future__ import annotations

from pathlib import Path

from nanosmith.store.home import DEFAULT_PROJECT, Home
from nanosmith.store.ledger.database import Database
from nanosmith.store.ledger.documents import DocumentRows
from nanosmith.store.ledger.files import FileRows
from nanosmith.store.ledger.jobs import JobRows
from nanosmith.store.ledger.keys import KeyRows
from nanosmith.store.ledger.models import ModelRows
from nanosmith.store.ledger.schema import bring_up
from nanosmith.store.records import Lease


class Ledger(JobRows, DocumentRows, FileRows, ModelRows, KeyRows):
    """All rows of one project. Safe to use from several threads and processes."""

    def __init__(
        self, where: Path | str | Database, project: str = DEFAULT_PROJECT, lease: Lease | None = None, *,
        patience_s: float = 2.0,
    ) -> None:  # fmt: skip
        """`where`: a SQLite file, a URL (sqlite:///… or postgresql://…), or a database that is open already.
        `patience_s`: see Database."""
        opened = where if isinstance(where, Database) else Database(where, patience_s=patience_s)
        super().__init__(opened, project, lease)
        if not isinstance(where, Database):
            try:
                bring_up(opened)
            except BaseException:
                opened.close()
                raise

    def of(self, project: str) -> Ledger:
        """The same database, as another project sees it."""
        return Ledger(self.database, project)

    def under(self, lease: Lease) -> Ledger:
        """The same database, for the project of `lease`; nothing can be written once that lease is lost."""
        return Ledger(self.database, lease.project, lease)

    def close(self) -> None:
        self.database.close()


def open_ledger(home: Home, *, patience_s: float = 2.0) -> Ledger:
    """The ledger of a data folder and project. `patience_s`: see Database."""
    return Ledger(home.database or home.ledger, home.project, patience_s=patience_s)
