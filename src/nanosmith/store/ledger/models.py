"""Local models by name."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from nanosmith.store.ledger.rows import Rows, read_row
from nanosmith.store.ledger.tables import documents, models
from nanosmith.store.records import ModelRow

PERMISSION = "checkpoint.permission"


class ModelRows(Rows):
    def add_model(self, row: ModelRow) -> None:
        self.add(row)

    def model(self, name: str) -> ModelRow | None:
        return self._find(ModelRow, project=self.project, name=name)

    def shared_model(self, name: str) -> tuple[ModelRow, str] | None:
        """A model of another project that this one was given a permission for, and its project: the one query that
        crosses projects, bound by what the owner wrote down (PERMISSION)."""
        given = sa.and_(
            documents.c.project == models.c.project, documents.c.kind == PERMISSION, documents.c.parent == models.c.name
        )
        to_us = self._has_metadata(documents, {"project_id": self.project})
        query = sa.select(models).join(documents, given).where(models.c.name == name, *to_us).limit(1)
        row = self.database.read(lambda link: link.execute(query).first())
        return None if row is None else (read_row(row, ModelRow), str(row.project))

    def models(self) -> list[ModelRow]:
        """All local models, newest first."""
        return self._all(self._of_project(models).order_by(models.c.seq.desc()), ModelRow)

    def update_model(self, name: str, **values: Any) -> None:
        change = sa.update(models).where(models.c.project == self.project, models.c.name == name).values(**values)
        self._write(lambda link: link.execute(change))

    def delete_model(self, name: str) -> bool:
        return self._delete(models, models.c.name == name)
