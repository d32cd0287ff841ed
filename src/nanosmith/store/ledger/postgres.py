"""PostgreSQL, through psycopg. The server may go away and come back at any time."""

from __future__ import annotations

import secrets
import threading
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event

from nanosmith.core.errors import MissingExtra, NanosmithError, StorageFull
from nanosmith.store.ledger.database import reason_of

Result = TypeVar("Result")
DISK_FULL = "53100"
NOT_ALLOWED = "42501"
AWAY = ("08", "40", "53", "57P")
"""SQLSTATEs after which another attempt may help: connection, serialization or deadlock, resources, shutdown."""
SCHEMA_LOCK = 0x6E616E6F  # "nano"
NAMED_LOCKS = SCHEMA_LOCK
IDLE_S = 10
"""How long a transaction may be held up by its process, as by one that was paused, before the server ends it: less than
a lease, as others would have to wait for the rows that it has locked."""
NOW = "extract(epoch from clock_timestamp())::float8"
NUMBER = sa.text(f"""
    INSERT INTO writers (id, number, at) VALUES (:id, :number, {NOW}) ON CONFLICT (id) DO UPDATE
    SET number = excluded.number, at = excluded.at WHERE writers.number <> excluded.number RETURNING number
""")  # noqa: S608
FORGET = sa.text(f"DELETE FROM writers WHERE at < {NOW} - 24 * 3600")  # noqa: S608
DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
CONNECT: dict[str, Any] = {
    "connect_timeout": 5, "keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip


class Postgres:
    """See nanosmith.store.ledger.database.Dialect.

    A connection that breaks during COMMIT leaves open whether the commit came through. So each transaction writes a
    random number into the row of its writer, which has one transaction at a time; a second attempt that finds its
    number there knows that the first one was committed. The first one's lock of that row makes it wait for that.
    """

    now = NOW

    def __init__(self, url: sa.URL) -> None:
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise MissingExtra("psycopg", "postgres") from error
        del psycopg
        self.engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"), isolation_level="READ COMMITTED", connect_args=CONNECT,
            hide_parameters=True,
        )  # fmt: skip
        event.listen(self.engine, "connect", _durable)
        self.reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._idle_writers: deque[str] = deque()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def writing(self, work: Callable[[sa.Connection], Result]) -> Iterator[Callable[[sa.Connection], Result]]:
        try:
            writer, is_new = self._idle_writers.pop(), False
        except IndexError:
            writer, is_new = secrets.token_hex(12), True
        number = {"id": writer, "number": secrets.randbits(62)}
        results: list[Result] = []

        def once(link: sa.Connection) -> Result:
            if is_new:
                link.execute(FORGET)
            if link.execute(NUMBER, number).first() is not None:
                results.append(work(link))
            return results[-1]

        try:
            yield once
        finally:
            self._idle_writers.append(writer)

    def alone(self, link: sa.Connection) -> None:
        link.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))

    @contextmanager
    def exclusively(self, name: str) -> Iterator[None]:
        """By an advisory lock of a transaction, which goes with its connection. Threads of this process take turns
        first, so that those who wait do not hold all connections."""
        key = zlib.crc32(name.encode())
        with self._turns[name], self.engine.connect() as link:
            link.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            link.execute(sa.select(sa.func.pg_advisory_xact_lock(NAMED_LOCKS, key - 2**31)))
            try:
                yield
            finally:
                with suppress(sa.exc.DBAPIError):  # the connection broke meanwhile, and the lock went with it
                    link.rollback()

    def require_room(self) -> None:
        """Only the server knows its disk."""

    def close(self) -> None:
        self.engine.dispose()

    def check(self, error: sa.exc.DBAPIError) -> None:
        state = getattr(error.orig, "sqlstate", None)
        if state == DISK_FULL:
            remedy = "Free some space on the database server."
            raise StorageFull("the disk of the database server is full", remedy=remedy) from error
        if state == NOT_ALLOWED:
            raise NanosmithError(
                "the database does not allow this", got=reason_of(error), code="database_refused",
                remedy="Give the user of NANOSMITH_DATABASE a database, or a schema, of its own.",
            ) from error  # fmt: skip

    def is_away(self, error: sa.exc.DBAPIError) -> bool:
        state = getattr(error.orig, "sqlstate", None)
        if state is None:  # no answer of the server: it could not be reached, or the connection broke
            return error.connection_invalidated or isinstance(error, sa.exc.OperationalError)
        return error.connection_invalidated or state.startswith(AWAY)


def _durable(connection: Any, _record: Any) -> None:
    """Settings of each connection: an acknowledged commit is on the disk, whatever the server's default."""
    with connection.cursor() as cursor:
        cursor.execute(DURABLE)
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_S}s'")
    connection.commit()
