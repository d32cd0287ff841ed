"""Uploaded files."""

from __future__ import annotations

import sqlalchemy as sa

from nanosmith.store.ledger.rows import Page, Rows
from nanosmith.store.ledger.tables import files
from nanosmith.store.records import FileRow


class FileRows(Rows):
    def add_file(self, row: FileRow) -> None:
        self.add(row)

    def file(self, id: str) -> FileRow | None:
        return self._find(FileRow, project=self.project, id=id)

    def delete_file(self, id: str) -> bool:
        return self._delete(files, files.c.id == id)

    def files(
        self, *, purpose: str | None = None, after: str | None = None, limit: int = 10_000, newest_first: bool = True
    ) -> Page[FileRow]:
        wanted = [] if purpose is None else [files.c.purpose == purpose]
        scope = self._of_project(files)
        return self._page(scope, *wanted, type=FileRow, after=after, limit=limit, newest_first=newest_first)

    def expired_files(self, now: int) -> list[FileRow]:
        return self._all(self._of_project(files).where(files.c.expires_at <= now), FileRow)

    def blob_is_used(self, sha256: str) -> bool:
        """Whether a file of this project still has these bytes."""
        return self._find(FileRow, project=self.project, sha256=sha256) is not None

    def stored_bytes(self) -> int:
        """Of all files of this project."""
        total = sa.select(sa.func.coalesce(sa.func.sum(files.c.bytes), 0)).where(files.c.project == self.project)
        return int(self.database.read(lambda link: link.execute(total).scalar_one()))
