"""Projects and their API keys. What a key is, is never stored: only its SHA-256."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from nanosmith.store.ledger.rows import Rows
from nanosmith.store.ledger.tables import keys, projects
from nanosmith.store.records import KeyRow, ProjectRow


class KeyRows(Rows):
    def projects(self) -> list[ProjectRow]:
        """All projects, oldest first."""
        return self._all(sa.select(projects).order_by(projects.c.seq), ProjectRow)

    def project_row(self, id: str) -> ProjectRow | None:
        return self._find(ProjectRow, id=id)

    def keys(self) -> list[KeyRow]:
        """Of all projects, oldest first."""
        return self._all(sa.select(keys).order_by(keys.c.seq), KeyRow)

    def key_by_sha256(self, sha256: str) -> KeyRow | None:
        return self._find(KeyRow, sha256=sha256)

    def set_limits(self, id: str, limits: Mapping[str, int]) -> bool:
        """Of a project. False when it has no row."""
        change = sa.update(projects).where(projects.c.id == id).values(limits=dict(limits))
        return self._write(lambda link: link.execute(change).rowcount) > 0

    def delete_key(self, id: str) -> bool:
        """Revoke a key."""
        gone = keys.delete().where(keys.c.id == id)
        return self._write(lambda link: link.execute(gone).rowcount) > 0
