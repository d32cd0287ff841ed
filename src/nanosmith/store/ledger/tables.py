"""The tables. A change here needs a migration (nanosmith.store.migrations)."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from nanosmith.store import records

meta = sa.MetaData()
JSON = sa.JSON(none_as_null=True)
PAIRS = JSON.with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
"""JSON that queries look into."""
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits; SQLite numbers rows only where the type is called INTEGER, which has 64 bits there."""


def _column(name: str, type: Any, *, null: bool = False, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, type, nullable=null, **options)


def _seq() -> sa.Column[int]:
    """A column that orders rows by insertion: the cursor of every list."""
    return sa.Column("seq", INTEGER, primary_key=True, autoincrement=True)


def _project() -> sa.Column[str]:
    """The tenant, by which every query of a tenant's rows is bound."""
    return sa.Column("project", sa.String, nullable=False, server_default="default")


def _where(condition: sa.TextClause) -> dict[str, Any]:
    """Options of an index of those rows alone."""
    return {"sqlite_where": condition, "postgresql_where": condition}


files = sa.Table(
    "files", meta, _seq(), _project(),
    _column("id", sa.String, unique=True), _column("created_at", INTEGER),
    _column("bytes", INTEGER), _column("filename", sa.String),
    _column("purpose", sa.String), _column("sha256", sa.String, index=True),
    _column("status", sa.String), _column("expires_at", INTEGER, null=True),
    sa.Index("files_project", "project", "seq"),
)  # fmt: skip
jobs = sa.Table(
    "jobs", meta, _seq(), _project(),
    _column("id", sa.String, unique=True), _column("created_at", INTEGER),
    _column("model", sa.String), _column("training_file", sa.String),
    _column("request", JSON), _column("seed", INTEGER),
    _column("hyperparameters", JSON), _column("status", sa.String),
    _column("validation_file", sa.String, null=True), _column("suffix", sa.String, null=True),
    _column("metadata", PAIRS, null=True), _column("started_at", INTEGER, null=True),
    _column("finished_at", INTEGER, null=True), _column("estimated_finish", INTEGER, null=True),
    _column("fine_tuned_model", sa.String, null=True), _column("trained_tokens", INTEGER, null=True),
    _column("result_files", JSON), _column("error", JSON, null=True),
)  # fmt: skip
events = sa.Table(
    "events", meta, _seq(), _project(),
    _column("id", sa.String, unique=True), _column("job_id", sa.String, index=True),
    _column("created_at", INTEGER), _column("level", sa.String),
    _column("message", sa.String), _column("type", sa.String), _column("data", JSON, null=True),
)  # fmt: skip
checkpoints = sa.Table(
    "checkpoints", meta, _seq(), _project(),
    _column("id", sa.String, unique=True), _column("job_id", sa.String, index=True),
    _column("created_at", INTEGER), _column("step_number", INTEGER),
    _column("model", sa.String), _column("metrics", JSON),
)  # fmt: skip
models = sa.Table(
    "models", meta, _seq(), _project(),
    _column("name", sa.String), _column("created_at", INTEGER),
    _column("bundle", sa.String), _column("digest", sa.String),
    _column("base", sa.String), _column("owned_by", sa.String), _column("job_id", sa.String, null=True),
    sa.UniqueConstraint("project", "name", name="models_name"),
)  # fmt: skip
documents = sa.Table(
    "documents", meta, _seq(), _project(),
    _column("kind", sa.String), _column("id", sa.String),
    _column("created_at", INTEGER), _column("body", JSON),
    _column("parent", sa.String, null=True), _column("status", sa.String, null=True),
    _column("model", sa.String, null=True), _column("metadata", PAIRS, null=True),
    _column("expires_at", INTEGER, null=True),
    sa.UniqueConstraint("project", "kind", "id", name="documents_id"),
    sa.Index("documents_kind", "project", "kind", "seq"),
    sa.Index("documents_parent", "project", "kind", "parent"),
    sa.Index("documents_expires", "expires_at", **_where(sa.text("expires_at IS NOT NULL"))),
)  # fmt: skip
work = sa.Table(
    "work", meta, _seq(), _project(),
    _column("id", sa.String, unique=True), _column("kind", sa.String), _column("stop", sa.String, null=True),
    _column("owner", sa.String, null=True), _column("token", INTEGER),
    _column("expires_at", sa.Float(53), null=True),
    sqlite_autoincrement=True,  # tokens need a seq that is never given twice
)  # fmt: skip
projects = sa.Table(
    "projects", meta, _seq(),
    _column("id", sa.String, unique=True), _column("name", sa.String), _column("created_at", INTEGER),
    _column("limits", JSON),
)  # fmt: skip
keys = sa.Table(
    "keys", meta, _seq(), _project(),
    _column("id", sa.String, unique=True), _column("name", sa.String), _column("sha256", sa.String, unique=True),
    _column("created_at", INTEGER), _column("scopes", JSON), _column("limits", JSON),
    _column("expires_at", INTEGER, null=True),
)  # fmt: skip

writers = sa.Table(
    "writers", meta,
    sa.Column("id", sa.String, primary_key=True), _column("number", INTEGER), _column("at", sa.Float(53)),
)  # fmt: skip
"""The number of each writer's last transaction; see nanosmith.store.ledger.postgres. Empty in SQLite."""

TABLE_OF: dict[type[msgspec.Struct], sa.Table] = {
    records.FileRow: files, records.JobRow: jobs, records.EventRow: events, records.CheckpointRow: checkpoints,
    records.ModelRow: models, records.Document: documents, records.Work: work, records.ProjectRow: projects,
    records.KeyRow: keys,
}  # fmt: skip
