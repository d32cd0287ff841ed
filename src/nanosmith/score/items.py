"""Records as items that can be compared: per column (a field, or a label of entities) what an answer holds.

A value that is there is one item, each part of a list one, null and empty texts none. An entity is its place:
characters [start, end). Numbers compare as numbers (1 and 1.0 are equal), true and 1 are different, as in JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from nanosmith.core.record import ENTITIES, Field, RecordForm
from nanosmith.score.record_figures import RowType

SPANS = ("span", "spans", "entity")


class Column(NamedTuple):
    """A field, or a label of entities (`field` is None)."""

    name: str
    type: RowType
    field: Field | None = None

    @property
    def is_copied(self) -> bool:
        return self.type in SPANS

    def parts(self, record: dict[str, Any]) -> list[Any]:
        """What the record holds here: values, or entities."""
        if self.field is None:
            return [one for one in entities_of(record) if one.get("label") == self.name]
        value = value_at(record, self.field.path)
        parts = value if isinstance(value, list) else [value]
        return [part for part in parts if part not in (None, "")]

    def items(self, record: dict[str, Any]) -> Counter[str]:
        parts = self.parts(record)
        if self.field is None:
            return Counter({f"{one.get('start')}:{one.get('end')}": 1 for one in parts})
        return Counter(map(json_key, parts))


def columns_of(form: RecordForm, records: Sequence[dict[str, Any]]) -> list[Column]:
    """The fields, the labels of entities, and further labels that the records have."""
    met = {str(one.get("label")) for record in records for one in entities_of(record)}
    labels = (*form.entities, *sorted(met.difference(form.entities)))
    fields = [Column(field.name, field.type, field) for field in form.fields]
    return [*fields, *(Column(label, "entity") for label in labels)]


def value_at(record: dict[str, Any], path: Sequence[str]) -> Any:
    """The value at these keys; None where there is none."""
    found: Any = record
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def entities_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    found = record.get(ENTITIES)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def json_key(value: Any) -> str:
    """Equal for equal JSON values, whatever the order of keys."""
    return msgspec.json.encode(_plain(value), order="sorted").decode()


def record_key(record: dict[str, Any], form: RecordForm | None = None) -> str:
    """Equal for equal records; the order of entities does not count, nor that of values chosen from a closed set."""
    chosen = [field.path for field in form.fields if field.type == "choices"] if form else []
    for path in ((ENTITIES,), *chosen):
        record = _sorted_at(record, path)
    return json_key(record)


def _sorted_at(record: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """The record with the list at these keys sorted, if there is one."""
    head, *rest = path
    value = record.get(head)
    if rest and isinstance(value, dict):
        return record | {head: _sorted_at(value, rest)}
    return record | {head: sorted(value, key=json_key)} if not rest and isinstance(value, list) else record


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
