"""A vendor's eval becomes an eval with the same id, if its graders can grade here."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from nanosmith.core.errors import NanosmithError
from nanosmith.core.structs import to_struct
from nanosmith.core.watch import Watch
from nanosmith.server.evals.evals import eval_body
from nanosmith.server.evals.records import EVAL
from nanosmith.server.evals.request import CreateEval
from nanosmith.server.migration.plan import Item, unless_there
from nanosmith.server.migration.scan import Taken
from nanosmith.server.services import Services
from nanosmith.store.records import Document


class VendorEval(msgspec.Struct):
    id: Annotated[str, Meta(pattern=r"^eval_\w{1,64}\Z")]
    created_at: Annotated[int, Meta(ge=0, le=2**53)]


class EvalStep:
    def __init__(self, taken: Taken) -> None:
        self._record = _with_api_names(taken.record)
        name = f"eval {str(taken.record.get('id'))[:80]}"
        self.item = Item("eval", taken.source.name, name, name, "ready", becomes="eval")
        try:
            self.id = to_struct(taken.record, VendorEval).id
        except NanosmithError as error:
            self.item.block(f"it is no eval: {error}")

    def look(self, home: Services) -> None:
        """Whether it could be created, and whether it is there."""
        if self.item.state != "ready":
            return
        if home.ledger.document(EVAL, self.id) is not None:
            self.item.done(self.id)
            return
        try:
            row = self._row(home)
        except NanosmithError as error:
            self.item.block(str(error))
        else:
            name = f"{row.body['name']!r}, " if row.body["name"] else ""
            self.item.what += f" ({name}{_criteria(len(row.body['testing_criteria']))})"

    def make(self, home: Services, _watch: Watch) -> None:
        if home.ledger.document(EVAL, self.id) is None:
            with unless_there(lambda: home.ledger.document(EVAL, self.id)):
                home.ledger.add(self._row(home))
        self.item.done(self.id)

    def _row(self, home: Services) -> Document:
        """Raises NanosmithError, as creating it through the API does."""
        asked, vendor = to_struct(self._record, CreateEval), to_struct(self._record, VendorEval)
        return Document(EVAL, vendor.id, vendor.created_at, eval_body(home, asked), metadata=asked.metadata)


def _with_api_names(record: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's client calls `schema` `schema_`, and writes it so unless it is told otherwise."""
    config = record.get("data_source_config")
    if not isinstance(config, dict) or "schema_" not in config:
        return record
    return record | {"data_source_config": {"schema": config["schema_"]} | config}


def _criteria(count: int) -> str:
    return "1 criterion" if count == 1 else f"{count} criteria"
