"""What all parts of the ledger share: rows in, rows out, pages; always of one project."""

from __future__ import annotations

import functools
import secrets
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from nanosmith.core.errors import NanosmithError
from nanosmith.store.home import DEFAULT_PROJECT
from nanosmith.store.ledger.database import Database
from nanosmith.store.ledger.tables import TABLE_OF, work
from nanosmith.store.records import KeyRow, Lease

Row = TypeVar("Row", bound=msgspec.Struct)
Result = TypeVar("Result")
ALPHABET = string.ascii_letters + string.digits
CHARACTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
"""From a random byte to a character; the first eight come a little more often, as 256 is no multiple of 62."""


def new_id(prefix: str) -> str:
    """A random id with the prefix that the API documents, such as "file-" or "ftjob-": 24 characters, 142 bits."""
    return prefix + secrets.token_bytes(24).translate(CHARACTERS).decode()


class Page(list[Row]):
    """Rows of one page; `has_more` tells whether others follow."""

    def __init__(self, rows: Sequence[Row], has_more: bool) -> None:
        super().__init__(rows)
        self.has_more = has_more


class UnknownCursor(LookupError):
    """`after` names no row."""


class LeaseLost(NanosmithError):
    """The work was taken by another process, or its lease has run out: nothing was written."""

    code = "lease_lost"


class Rows:
    """A view of one project's rows. With `lease`, every write first checks that the lease still holds, in the same
    transaction; if not it raises LeaseLost and writes nothing."""

    def __init__(self, database: Database, project: str = DEFAULT_PROJECT, lease: Lease | None = None) -> None:
        self.database = database
        self.project = project
        self.lease = lease

    def _write(self, change: Callable[[sa.Connection], Result]) -> Result:
        if self.lease is None:
            return self.database.write(change)
        lease = self.lease

        def fenced(link: sa.Connection) -> Result:
            hold(link, self.database, lease)
            return change(link)

        return self.database.write(fenced)

    def _of_project(self, table: sa.Table) -> sa.Select[Any]:
        return sa.select(table).where(table.c.project == self.project)

    def _insert_all(self, link: sa.Connection, rows: Iterable[msgspec.Struct]) -> None:
        """Insert rows, which become those of this project; a key names its own."""
        for row in rows:
            values = msgspec.structs.asdict(row)
            values.pop("seq")
            table = TABLE_OF[type(row)]
            if "project" in table.c and not isinstance(row, KeyRow):
                values["project"] = self.project
            link.execute(_insert(table), values)

    def add(self, *rows: msgspec.Struct) -> None:
        """Store rows of any kinds in one transaction. Raises StorageFull while there is still room for what is not new:
        deletions, and the end of work under a lease."""
        if self.lease is None:
            self.database.require_room()
        self._write(lambda link: self._insert_all(link, rows))

    def _delete(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> bool:
        gone = table.delete().where(table.c.project == self.project, *where)
        return self._write(lambda link: link.execute(gone).rowcount) > 0

    def _find(self, type: type[Row], **columns: Any) -> Row | None:
        """The row with these values in unique columns."""
        query = _lookup(TABLE_OF[type], tuple(columns))
        row = self.database.read(lambda link: link.execute(query, columns).first())
        return None if row is None else read_row(row, type)

    def _all(self, query: sa.Select[Any], type: type[Row]) -> list[Row]:
        return [read_row(row, type) for row in self.database.read(lambda link: link.execute(query).all())]

    def _page(
        self, scope: sa.Select[Any], *filters: sa.ColumnElement[bool], type: type[Row],
        after: str | None, limit: int, newest_first: bool = True,
    ) -> Page[Row]:  # fmt: skip
        """One page of the rows of `scope` that pass the filters, after the row whose id is `after`.

        Raises UnknownCursor when `scope` has no such row.
        """
        table, query = TABLE_OF[type], scope.where(*filters)
        if after is not None:
            cursor = scope.where(table.c.id == after).with_only_columns(table.c.seq)
            start = self.database.read(lambda link: link.execute(cursor).scalar())
            if start is None:
                raise UnknownCursor(after)
            query = query.where(table.c.seq < start if newest_first else table.c.seq > start)
        rows = self._all(query.order_by(table.c.seq.desc() if newest_first else table.c.seq).limit(limit + 1), type)
        return Page(rows[:limit], len(rows) > limit)

    def _has_metadata(self, table: sa.Table, wanted: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
        """That metadata has all these pairs. Keys may hold any character, so they cannot go into a JSON path."""
        if not self.database.is_sqlite:
            return [table.c.metadata.op("@>")(dict(wanted))] if wanted else []
        pairs = [(sa.func.json_each(table.c.metadata).table_valued("key", "atom"), *pair) for pair in wanted.items()]
        return [sa.exists().where(pair.c.key == key, pair.c.atom == value) for pair, key, value in pairs]


def equals(column: sa.ColumnElement[Any], value: Any) -> sa.ColumnElement[bool]:
    """A list or tuple: one of these; None: IS NULL."""
    return column.in_(value) if isinstance(value, list | tuple) else column == value


@functools.cache
def _lookup(table: sa.Table, columns: tuple[str, ...]) -> sa.Select[Any]:
    """Built once: building a query takes longer than running it."""
    return sa.select(table).where(*(table.c[column] == sa.bindparam(column) for column in columns))


@functools.cache
def _insert(table: sa.Table) -> sa.Insert:
    """Built once, as `_lookup`; the values are its parameters."""
    return table.insert()


def hold(link: sa.Connection, database: Database, lease: Lease) -> None:
    """Keep others from claiming the work until this transaction ends. Raises LeaseLost when it is ours no more."""
    ours = (work.c.id == lease.id, work.c.token == lease.token, work.c.expires_at > database.now)
    if link.execute(sa.select(work.c.seq).where(*ours).with_for_update()).first() is None:
        raise LeaseLost("the work was taken over, or its lease has run out", where=lease.id)


def read_row(row: sa.Row[Any], type: type[Row]) -> Row:
    return msgspec.convert({str(k): v for k, v in row._mapping.items()}, type)
