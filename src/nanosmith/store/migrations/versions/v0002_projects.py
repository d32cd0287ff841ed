"""Every row belongs to a project; work with leases takes the place of a job's pid and heartbeat; documents and keys."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
TEXT = sa.String()
JSON = sa.JSON()
PAIRS = JSON.with_variant(postgresql.JSONB(), "postgresql")
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WITH_EXPIRY = sa.text("expires_at IS NOT NULL")
WORK_OF_OPEN_JOBS = """
    INSERT INTO work (project, id, kind, stop, token)
    SELECT 'default', id, 'fine_tuning.job', CASE WHEN cancel_requested THEN 'cancel' END, 0 FROM jobs
    WHERE status NOT IN ('succeeded', 'failed', 'cancelled') ORDER BY seq
"""


def upgrade() -> None:
    _create_documents()
    _create(
        "work", _project(), _id(), _must("kind", TEXT), _may("stop", TEXT), _may("owner", TEXT),
        _must("token", INTEGER), _may("expires_at", sa.Float(53)), sqlite_autoincrement=True,
    )  # fmt: skip
    _create("projects", _id(), _must("name", TEXT), _must("created_at", INTEGER), _must("limits", JSON))
    _create(
        "keys", _project(), _id(), _must("name", TEXT), sa.Column("sha256", TEXT, unique=True, nullable=False),
        _must("created_at", INTEGER), _must("scopes", JSON), _must("limits", JSON), _may("expires_at", INTEGER),
    )  # fmt: skip
    op.create_table(
        "writers", sa.Column("id", TEXT, primary_key=True), _must("number", INTEGER), _must("at", sa.Float(53))
    )
    op.execute(WORK_OF_OPEN_JOBS)
    for table, column in (("jobs", "metadata"), ("jobs", "error"), ("events", "data")):
        op.execute(f"UPDATE {table} SET {column} = NULL WHERE CAST({column} AS TEXT) = 'null'")  # noqa: S608
    _add_projects()
    op.create_index("ix_files_sha256", "files", ["sha256"])
    op.create_index("files_project", "files", ["project", "seq"])


def _create_documents() -> None:
    _create(
        "documents", _project(), _must("kind", TEXT), _must("id", TEXT), _must("created_at", INTEGER),
        _must("body", JSON), _may("parent", TEXT), _may("status", TEXT), _may("model", TEXT), _may("metadata", PAIRS),
        _may("expires_at", INTEGER), sa.UniqueConstraint("project", "kind", "id", name="documents_id"),
    )  # fmt: skip
    op.create_index("documents_kind", "documents", ["project", "kind", "seq"])
    op.create_index("documents_parent", "documents", ["project", "kind", "parent"])
    op.create_index(
        "documents_expires", "documents", ["expires_at"], sqlite_where=WITH_EXPIRY, postgresql_where=WITH_EXPIRY
    )


def _add_projects() -> None:
    for table in ("files", "events", "checkpoints"):
        op.add_column(table, _project())
    with op.batch_alter_table("jobs") as jobs:  # SQLite: a copy of the table, which takes the place of the old one
        jobs.add_column(_project())
        for gone in ("pid", "heartbeat_at", "cancel_requested"):
            jobs.drop_column(gone)
    with op.batch_alter_table("models", naming_convention={"uq": "%(table_name)s_%(column_0_name)s_key"}) as models:
        models.add_column(_project())
        models.drop_constraint("models_name_key", type_="unique")
        models.create_unique_constraint("models_name", ["project", "name"])


def _create(table: str, *columns: Any, **options: Any) -> None:
    op.create_table(table, sa.Column("seq", INTEGER, primary_key=True, autoincrement=True), *columns, **options)


def _project() -> sa.Column[Any]:
    return sa.Column("project", TEXT, nullable=False, server_default="default")


def _id() -> sa.Column[Any]:
    return sa.Column("id", TEXT, unique=True, nullable=False)


def _must(name: str, type: Any) -> sa.Column[Any]:
    return sa.Column(name, type, nullable=False)


def _may(name: str, type: Any) -> sa.Column[Any]:
    return sa.Column(name, type)
