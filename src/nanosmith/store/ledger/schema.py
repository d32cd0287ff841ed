"""The schema of a database: made, brought up to date, or refused as too new.

Where it is up to date, one look at its version is all that is done.
"""

from __future__ import annotations

import sqlalchemy as sa

from nanosmith.core.errors import NanosmithError, Unavailable
from nanosmith.store.ledger.database import Database, reason_of
from nanosmith.store.ledger.tables import meta

HEAD = "0003"
"""The newest migration, whose outcome is what nanosmith.store.ledger.tables describes."""
VERSION = sa.table("alembic_version", sa.column("version_num", sa.String))
CREATE_VERSION = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, {key} PRIMARY KEY (version_num))"
KEY = "CONSTRAINT alembic_version_pkc"  # as Alembic names it


class NewerDatabase(NanosmithError):
    """The database was made by a newer program."""

    code = "newer_database"


def bring_up(database: Database) -> None:
    """Make the tables of `database` those of this program. Several processes may do so at once.

    Raises NewerDatabase, or Unavailable when the database cannot be reached.
    """
    try:
        if database.read(_version) != HEAD:
            database.alone(_bring_up)
    except NewerDatabase as error:
        raise NewerDatabase(
            "the database was made by a newer Nanosmith, or by another program",
            where=database.shown_url, got=f"schema {error}", allowed=f"up to {HEAD}",
            remedy="Run: pip install --upgrade nanosmith",
        ) from None  # fmt: skip
    except Unavailable as error:
        raise Unavailable(
            "the database cannot be reached", where=database.shown_url, got=reason_of(error.__cause__ or error),
            remedy="Check that it runs, and the address in NANOSMITH_DATABASE.",
        ) from error  # fmt: skip


def _version(link: sa.Connection) -> str | None:
    if not sa.inspect(link).has_table(VERSION.name):
        return None
    version: str | None = link.execute(sa.select(VERSION)).scalar()
    return version


def _bring_up(link: sa.Connection) -> None:
    version = _version(link)
    if version is None and not _has_tables(link):
        _create(link)
    elif version is None or version < HEAD:
        from nanosmith.store.migrations import upgrade  # needs Alembic, which is not loaded otherwise

        upgrade(link)
    elif version > HEAD:
        raise NewerDatabase(version)


def _has_tables(link: sa.Connection) -> bool:
    """Whether there are tables without a version, as before there were migrations; maybe not all of them."""
    return not meta.tables.keys().isdisjoint(sa.inspect(link).get_table_names())


def _create(link: sa.Connection) -> None:
    meta.create_all(link)
    link.exec_driver_sql(CREATE_VERSION.format(key=KEY))
    link.execute(sa.insert(VERSION).values(version_num=HEAD))
