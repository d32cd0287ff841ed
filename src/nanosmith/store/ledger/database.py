"""The database under the ledger: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from nanosmith.core.errors import InputError, Unavailable

Result = TypeVar("Result")
PAUSES_S = (0.1, 0.2, 0.5, 1.0)  # between attempts to reach a database that went away; the last one repeats
LATER = "Try again in a few seconds."
SCHEMES = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql"}


class Dialect(Protocol):
    """What differs between the databases."""

    now: str
    """SQL of the database's clock, float Unix seconds."""

    @property
    def engine(self) -> sa.Engine: ...

    @property
    def reader(self) -> sa.Engine:
        """Connections that read, without transactions."""

    def writing(
        self, work: Callable[[sa.Connection], Result]
    ) -> AbstractContextManager[Callable[[sa.Connection], Result]]:
        """`work` as it is to be run, and run again, in a transaction."""

    def alone(self, link: sa.Connection) -> None:
        """Let no other process change the schema until this transaction ends."""

    def check(self, error: sa.exc.DBAPIError) -> None:
        """Raises what we say instead, such as StorageFull."""

    def is_away(self, error: sa.exc.DBAPIError) -> bool:
        """Whether another attempt may help, as nothing was done."""

    def exclusively(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock that all processes on this database know by `name`."""

    def require_room(self) -> None:
        """Raises StorageFull when nothing new may be stored, as far as this can be told from here."""

    def close(self) -> None: ...


class Database:
    """An engine, and the ways to use it: `read`, `write`, `alone`.

    `patience_s`: how long a call waits for a database that cannot be reached, as while PostgreSQL restarts.
    """

    def __init__(self, where: Path | str, *, patience_s: float = 2.0) -> None:
        """`where`: a SQLite file, or a URL. Raises InputError for another database, MissingExtra without its driver."""
        url = sa.URL.create("sqlite", database=str(where)) if isinstance(where, Path) else _parsed(where)
        self.shown_url = url.render_as_string(hide_password=True)
        self.is_sqlite = url.drivername == "sqlite"
        self.patience_s = patience_s
        self._dialect = _dialect(url)
        self.now: sa.ColumnElement[float] = sa.literal_column(self._dialect.now, type_=sa.Float)
        """The database's own clock, float Unix seconds: the only one that all workers share."""

    def close(self) -> None:
        self._dialect.close()

    def read(self, work: Callable[[sa.Connection], Result]) -> Result:
        return self._patiently(self._dialect.reader.connect, work)

    def write(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Run `work` in one transaction, which is durable when this returns, and is done once: `work` may be run again
        when the connection breaks, but never after a commit."""
        with self._dialect.writing(work) as whole:
            return self._patiently(self._dialect.engine.begin, whole)

    def alone(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Run `work`, which changes the schema, in one transaction while no other process does so. It may be run again
        after a commit."""

        def locked(link: sa.Connection) -> Result:
            self._dialect.alone(link)
            return work(link)

        return self._patiently(self._dialect.engine.begin, locked)

    @contextmanager
    def exclusively(self, name: str) -> Iterator[None]:
        """Hold a lock that all processes and threads on this database know by `name`."""
        with ExitStack() as held:
            self._patiently(nullcontext, lambda _: held.enter_context(self._dialect.exclusively(name)))
            yield

    def require_room(self) -> None:
        """Raises StorageFull when nothing new may be stored."""
        self._dialect.require_room()

    def _patiently(self, opened: Callable[[], Any], work: Callable[[sa.Connection], Result]) -> Result:
        began, attempt = time.monotonic(), 0
        while True:
            try:
                with opened() as link:
                    return work(link)
            except (sa.exc.DataError, OverflowError, UnicodeEncodeError) as error:
                raise InputError("the database cannot keep this value", got=reason_of(error)) from error
            except sa.exc.TimeoutError as error:
                raise Unavailable("too many others wait for the database", remedy=LATER) from error
            except sa.exc.DBAPIError as error:
                self._dialect.check(error)
                if not self._dialect.is_away(error):
                    raise
                if time.monotonic() - began > self.patience_s:
                    raise Unavailable("the database cannot be reached", remedy=LATER) from error
            time.sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])
            attempt += 1


def _parsed(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        url = None
    scheme = url and SCHEMES.get(url.drivername)
    if url is None or scheme is None:
        got = "something else" if url is None else f"{url.drivername}://"
        raise InputError("the ledger cannot use this database", got=got, allowed="postgresql://… or sqlite:///FILE")
    return url.set(drivername=scheme)


def _dialect(url: sa.URL) -> Dialect:
    if url.drivername == "sqlite":
        from nanosmith.store.ledger.sqlite import Sqlite

        return Sqlite(url)
    from nanosmith.store.ledger.postgres import Postgres

    return Postgres(url)


def reason_of(error: BaseException) -> str:
    """What the driver says, in one line."""
    return str(getattr(error, "orig", error)).partition("\n")[0]
