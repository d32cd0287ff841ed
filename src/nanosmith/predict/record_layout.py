"""What the columns of a record model's graph stand for, and how it is calibrated; a file of the bundle."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nanosmith.core.errors import Damaged
from nanosmith.core.record import Field, RecordForm
from nanosmith.predict.tags import columns
from nanosmith.store.bundles import REMEDY

LAYOUT_FILE = "record.json"


class Platt(msgspec.Struct, frozen=True):
    """sigmoid(slope · logit(p) + offset) of an uncalibrated probability p (Platt 1999)."""

    slope: float = 1.0
    offset: float = 0.0


class Confidences(msgspec.Struct, frozen=True):
    """By the type of a field ("entity" for entities), and for the whole record; fitted on so many `examples`."""

    fields: dict[str, Platt] = {}
    record: Platt = Platt()
    examples: int = 0


class Layout(msgspec.Struct, frozen=True):
    """`groups` of names of span fields and entity labels that never overlap: one softmax per unit each. `window` is the
    most tokens read at once, special ones included; `whole_words` whether spans begin and end at words."""

    groups: tuple[tuple[str, ...], ...]
    window: int
    whole_words: bool
    confidences: Confidences = Confidences()

    @property
    def tag_columns(self) -> list[slice]:
        return columns(self.groups)

    @property
    def places(self) -> dict[str, tuple[int, int]]:
        """The group and the place in it of each name."""
        return {name: (g, i) for g, names in enumerate(self.groups) for i, name in enumerate(names)}


def chosen_fields(form: RecordForm) -> list[Field]:
    """The fields that are read off the pooled vector, in the order of their columns."""
    return [field for field in form.fields if field.type in ("choice", "choices")]


def width_of(field: Field) -> int:
    """Columns of a chosen field: one per value, and one for "absent" where a choice may be."""
    return len(field.values) + (field.type == "choice" and field.missing is not None)


def choice_columns(form: RecordForm) -> dict[str, slice]:
    """The columns of each chosen field, by name."""
    found, start = {}, 0
    for field in chosen_fields(form):
        found[field.name] = slice(start, start + width_of(field))
        start += width_of(field)
    return found


def read_layout(file: Path) -> Layout:
    """Raises Damaged."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Layout)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the layout of the record cannot be read: {error}", where=str(file), remedy=REMEDY) from error
