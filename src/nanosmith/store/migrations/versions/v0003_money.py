"""Money: budgets, what was spent of them, what processes hold of them, and sums of what calls cost."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
TEXT = sa.String()
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WHOSE = ("project", "key", "route", "provider")


def upgrade() -> None:
    _create(
        "budgets", _unique("id"), *_whose(), _must("period", TEXT), *_integers("amount", "created_at"),
        sa.UniqueConstraint(*WHOSE, "period", name="budgets_whose"),
    )  # fmt: skip
    _create(
        "accounts", *_whose(), *_integers("begins_at", "ends_at", "spent"),
        sa.UniqueConstraint(*WHOSE, "begins_at", "ends_at", name="accounts_whose"),
    )  # fmt: skip
    _create("spenders", _unique("id"), _must("owner", TEXT), *_integers("batch"), _must("seen_at", sa.Float(53)))
    _create(
        "allotments", _must("spender", TEXT), *_integers("account", "amount"),
        sa.UniqueConstraint("spender", "account", name="allotments_spender"),
    )  # fmt: skip
    _create(
        "spend", *_integers("hour"), *_whose(), _must("model", TEXT),
        *_integers("requests", "input_tokens", "cached_tokens", "output_tokens", "cost", "unknown", "saved"),
        sa.UniqueConstraint("hour", *WHOSE, "model", name="spend_call"),
    )  # fmt: skip


def _create(table: str, *columns: Any) -> None:
    op.create_table(table, sa.Column("seq", INTEGER, primary_key=True, autoincrement=True), *columns)


def _whose() -> list[sa.Column[Any]]:
    return [_must(name, TEXT) for name in WHOSE]


def _integers(*names: str) -> list[sa.Column[Any]]:
    return [_must(name, INTEGER) for name in names]


def _unique(name: str) -> sa.Column[Any]:
    return sa.Column(name, TEXT, unique=True, nullable=False)


def _must(name: str, type: Any) -> sa.Column[Any]:
    return sa.Column(name, type, nullable=False)
