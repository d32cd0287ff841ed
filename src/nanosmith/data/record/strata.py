"""What of a record is balanced between the sides of a split, as labels are."""

from __future__ import annotations

from typing import Any

import msgspec

from nanosmith.core.record import RecordForm
from nanosmith.data.dataset import Dataset
from nanosmith.data.record.align import value_of
from nanosmith.data.record.columns import entities_of, is_missing


def strata(dataset: Dataset, i: int) -> set[str]:
    """Of the example at a position: the labels of its entities, its chosen values, and which copies it has."""
    form = dataset.task.record or RecordForm()
    content: dict[str, Any] = msgspec.json.decode(str(dataset.values[i]))
    found = {f"entity {one['label']}" for one in entities_of(content)} if form.entities else set()
    for field in form.fields:
        value = value_of(content, field.path)
        if field.type == "choice":
            found.add(f"{field.name} {value!r}")
        elif field.type in ("span", "spans") and not is_missing(value):
            found.add(field.name)
    return found
