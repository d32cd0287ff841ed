"""Objects of the API that are kept as JSON documents; each kind is a list of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from nanosmith.store.ledger.rows import Page, equals
from nanosmith.store.ledger.tables import documents
from nanosmith.store.ledger.work import WorkRows
from nanosmith.store.records import Document


class DocumentRows(WorkRows):
    def document(self, kind: str, id: str) -> Document | None:
        return self._find(Document, project=self.project, kind=kind, id=id)

    def documents(
        self, kind: str, *, parent: str | None = None, status: str | None = None, model: str | None = None,
        metadata: Mapping[str, str] | None = None, after: str | None = None, limit: int = 20, newest_first: bool = True,
    ) -> Page[Document]:  # fmt: skip
        """One page of a kind; `metadata` keeps those that have all these pairs. Raises UnknownCursor."""
        wanted = [*_given(parent=parent, status=status, model=model), *self._has_metadata(documents, metadata or {})]
        scope = self._of_kind(kind)
        return self._page(scope, *wanted, type=Document, after=after, limit=limit, newest_first=newest_first)

    def count_documents(self, kind: str, *, parent: str | None = None, status: str | None = None) -> int:
        query = self._of_kind(kind).where(*_given(parent=parent, status=status)).with_only_columns(sa.func.count())
        return int(self.database.read(lambda link: link.execute(query).scalar_one()))

    def update_document(
        self, kind: str, id: str, *, expect: Mapping[str, Any] | None = None, also: Sequence[msgspec.Struct] = (),
        drop: Sequence[str] = (), end: bool = False, **values: Any,
    ) -> Document | None:  # fmt: skip
        """Set columns of a document whose columns are as in `expect` (a list or tuple: one of these). In the same
        transaction the rows in `also` are added; of the kinds in `drop`, what has it as parent goes; with `end`, the
        Work of the same id goes. Returns the new document, or None when nothing was changed."""
        change = self._change_document(kind, id, expect, values)

        def update(link: sa.Connection) -> bool:
            if not link.execute(change).rowcount:
                return False
            if drop:
                link.execute(self._below(id, drop))
            self._insert_all(link, also)
            if end:
                self._end_work(link, id)
            return True

        return self.document(kind, id) if self._write(update) else None

    def end_free_document(
        self, kind: str, id: str, *, expect: Mapping[str, Any] | None = None,
        also: Sequence[msgspec.Struct] = (), **values: Any,
    ) -> Document | None:  # fmt: skip
        """Set columns of a document whose Work no process has, and remove that Work; None, and nothing done, when one
        has it or when the document is not as in `expect`."""
        ended = self.end_free_work(id, self._change_document(kind, id, expect, values), also)
        return self.document(kind, id) if ended else None

    def delete_document(self, kind: str, id: str, *, children: Sequence[str] = (), end: bool = False) -> bool:
        """Delete a document, and of the kinds in `children` what has it as parent; with `end`, the Work of the same id
        goes, and whoever has it can write nothing more."""
        mine = documents.c.project == self.project
        gone = documents.delete().where(mine, documents.c.kind == kind, documents.c.id == id)
        below = self._below(id, children)

        def delete(link: sa.Connection) -> bool:
            if end:  # first, as fenced writers lock the work before the document
                self._end_work(link, id)
            if children:
                link.execute(below)
            return link.execute(gone).rowcount > 0

        return self._write(delete)

    def _below(self, id: str, kinds: Sequence[str]) -> sa.Delete:
        """Deletes what has a document as parent."""
        mine = documents.c.project == self.project
        return documents.delete().where(mine, documents.c.kind.in_(kinds), documents.c.parent == id)

    def purge(self, kind: str, now: int) -> int:
        """Delete what has expired of a kind, of all projects; returns how many there were."""
        gone = documents.delete().where(documents.c.kind == kind, documents.c.expires_at <= now)
        return self._write(lambda link: link.execute(gone).rowcount)

    def expired_documents(self, kind: str, now: int, *, status: str | None = None) -> list[Document]:
        expired = self._of_kind(kind).where(documents.c.expires_at <= now, *_given(status=status))
        return self._all(expired, Document)

    def due_documents(
        self, kind: str, now: int, *, status: str, besides: Sequence[str] = (), limit: int = 100
    ) -> list[Document]:
        """What waits for its `expires_at` to come, of all projects, as workers serve them all; what came first comes
        first. Those with a parent in `besides` are left out."""
        due = sa.select(documents).where(documents.c.kind == kind, documents.c.expires_at <= now)
        due = due.where(*_given(status=status), documents.c.parent.not_in(besides))
        return self._all(due.order_by(documents.c.expires_at, documents.c.seq).limit(limit), Document)

    def _change_document(
        self, kind: str, id: str, expect: Mapping[str, Any] | None, values: Mapping[str, Any]
    ) -> sa.Update:
        wanted = [equals(documents.c[column], value) for column, value in (expect or {}).items()]
        mine = (documents.c.project == self.project, documents.c.kind == kind, documents.c.id == id)
        return sa.update(documents).where(*mine, *wanted).values(**values)

    def _of_kind(self, kind: str) -> sa.Select[Any]:
        return self._of_project(documents).where(documents.c.kind == kind)


def _given(**columns: str | None) -> list[sa.ColumnElement[bool]]:
    return [documents.c[column] == value for column, value in columns.items() if value is not None]
