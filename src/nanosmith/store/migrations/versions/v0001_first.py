"""Files, jobs, events, checkpoints and models, as they were before there were migrations.

Each is created only where it is absent: a database of that time has them, but was killed at its birth perhaps.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
TEXT = sa.String()
JSON = sa.JSON()
PAIRS = JSON.with_variant(postgresql.JSONB(), "postgresql")
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create(
        "files", _must("created_at", INTEGER), _must("bytes", INTEGER), _must("filename", TEXT),
        _must("purpose", TEXT), _must("sha256", TEXT), _must("status", TEXT), _may("expires_at", INTEGER),
    )  # fmt: skip
    _create(
        "jobs", _must("created_at", INTEGER), _must("model", TEXT), _must("training_file", TEXT),
        _must("request", JSON), _must("seed", INTEGER), _must("hyperparameters", JSON), _must("status", TEXT),
        _may("validation_file", TEXT), _may("suffix", TEXT), _may("metadata", PAIRS), _may("started_at", INTEGER),
        _may("finished_at", INTEGER), _may("estimated_finish", INTEGER), _may("fine_tuned_model", TEXT),
        _may("trained_tokens", INTEGER), _must("result_files", JSON), _may("error", JSON),
        _must("cancel_requested", sa.Boolean()), _may("pid", INTEGER), _may("heartbeat_at", INTEGER),
    )  # fmt: skip
    _create(
        "events", _must("job_id", TEXT), _must("created_at", INTEGER), _must("level", TEXT), _must("message", TEXT),
        _must("type", TEXT), _may("data", JSON),
    )  # fmt: skip
    _create(
        "checkpoints", _must("job_id", TEXT), _must("created_at", INTEGER), _must("step_number", INTEGER),
        _must("model", TEXT), _must("metrics", JSON),
    )  # fmt: skip
    _create(
        "models", _must("created_at", INTEGER), _must("bundle", TEXT), _must("digest", TEXT), _must("base", TEXT),
        _must("owned_by", TEXT), _may("job_id", TEXT), key="name",
    )  # fmt: skip
    for table in ("events", "checkpoints"):
        op.create_index(f"ix_{table}_job_id", table, ["job_id"], if_not_exists=True)


def _create(table: str, *columns: sa.Column[Any], key: str = "id") -> None:
    seq = sa.Column("seq", INTEGER, primary_key=True, autoincrement=True)
    op.create_table(table, seq, sa.Column(key, TEXT, unique=True, nullable=False), *columns, if_not_exists=True)


def _must(name: str, type: Any) -> sa.Column[Any]:
    return sa.Column(name, type, nullable=False)


def _may(name: str, type: Any) -> sa.Column[Any]:
    return sa.Column(name, type)
