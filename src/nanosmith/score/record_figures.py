"""What a report tells about records. Shares lie in [0, 1], intervals hold 95 %; docs/report.md explains each figure."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from nanosmith.core.record import FieldType
from nanosmith.score.intervals import Interval

RowType: TypeAlias = FieldType | Literal["entity"]


class FieldRow(msgspec.Struct, frozen=True):
    """One field, or one label of entities.

    A field's value is one item, each part of a list one, a missing value none; an entity is one item, at its place.
    `support` items were wanted, `given` were given; `precision`, `recall` and `f1` are 0 where undefined. `accuracy`
    is the share of examples in which the whole field is right. `ece` is that of the field's confidences, None without.
    """

    name: str
    type: RowType
    precision: float
    precision_interval: Interval
    recall: float
    recall_interval: Interval
    f1: float
    f1_interval: Interval
    accuracy: float
    support: int
    given: int
    ece: float | None


class Difference(msgspec.Struct, frozen=True):
    """A field that is not as wanted, as short texts; None stands for nothing."""

    name: str
    wanted: str | None
    given: str | None


class WrongRecord(msgspec.Struct, frozen=True):
    """A record that is not as wanted: `index` is its 0-based position, `text` what was read, shortened."""

    index: int
    text: str
    confidence: float | None
    differences: tuple[Difference, ...]


class SpanFigures(msgspec.Struct, frozen=True):
    """Strict figures of all copied values together (micro): an entity is right with its label and both borders, a field
    with its exact value."""

    precision: float
    recall: float
    f1: float
    f1_interval: Interval
    support: int
    given: int


class RecordFigures(msgspec.Struct, frozen=True):
    """`spans` is None where nothing is copied, `valid` (the share of answers that obey the schema) where the schema has
    words that we cannot check. `worst` are wrong records, the most confident first."""

    fields: tuple[FieldRow, ...]
    spans: SpanFigures | None
    valid: float | None
    worst: tuple[WrongRecord, ...]
