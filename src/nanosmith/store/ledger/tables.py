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


def _whose() -> list[sa.Column[str]]:
    """Which calls a budget is for; empty: any."""
    return [_column(scope, sa.String) for scope in ("project", "key", "route", "provider")]


budgets = sa.Table(
    "budgets", meta, _seq(),
    _column("id", sa.String, unique=True), *_whose(), _column("period", sa.String), _column("amount", INTEGER),
    _column("created_at", INTEGER),
    sa.UniqueConstraint("project", "key", "route", "provider", "period", name="budgets_whose"),
)  # fmt: skip
"""Those set by `nanosmith budgets`; amounts of money are in nano-dollars."""
accounts = sa.Table(
    "accounts", meta, _seq(), *_whose(),
    _column("begins_at", INTEGER), _column("ends_at", INTEGER), _column("spent", INTEGER),
    sa.UniqueConstraint("project", "key", "route", "provider", "begins_at", "ends_at", name="accounts_whose"),
)  # fmt: skip
"""What a budget's calls of one period have cost."""
spenders = sa.Table(
    "spenders", meta, _seq(),
    _column("id", sa.String, unique=True), _column("owner", sa.String), _column("batch", INTEGER),
    _column("seen_at", sa.Float(53)),
)  # fmt: skip
"""Processes that spend; `batch` numbers what each has settled."""
allotments = sa.Table(
    "allotments", meta, _seq(),
    _column("spender", sa.String), _column("account", INTEGER), _column("amount", INTEGER),
    sa.UniqueConstraint("spender", "account", name="allotments_spender"),
)  # fmt: skip
"""What a process may spend of an account, and has not settled."""
spend = sa.Table(
    "spend", meta, _seq(), _column("hour", INTEGER), *_whose(), _column("model", sa.String),
    _column("requests", INTEGER), _column("input_tokens", INTEGER), _column("cached_tokens", INTEGER),
    _column("output_tokens", INTEGER), _column("cost", INTEGER), _column("unknown", INTEGER), _column("saved", INTEGER),
    sa.UniqueConstraint("hour", "project", "key", "route", "provider", "model", name="spend_call"),
)  # fmt: skip
"""What calls used and cost: sums per hour (its first second) and kind of call; `unknown` of them have no known cost."""

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
