"""Tables of `nanosmith check`: labels, fields of records, entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanosmith.data.dataset import Dataset
    from nanosmith.data.record.report import FieldRow

SHOWN_LABELS = 30  # above it: the most and the least frequent
ENDS = 10
SHOWN_VALUES = 4  # of a field that is chosen
SHOWN_LINES = 5


def show_labels(noun: str, counts: Sequence[tuple[str, int]], total: int) -> None:
    """A row for each label with its count, and that as a share of `total`."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nanosmith.data.problem import shown

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(noun, overflow="fold")
    table.add_column("entities" if noun == "entity" else "examples", justify="right")
    table.add_column("share", justify="right")
    hidden = len(counts) - 2 * ENDS if len(counts) > SHOWN_LABELS else 0
    for i, (label, count) in enumerate(counts):
        if hidden and i == ENDS:
            table.add_row(f"… {hidden:,} more (see --json)", "", "")
        if not hidden or i < ENDS or i >= len(counts) - ENDS:
            table.add_row(Text(shown(label)[1:-1]), f"{count:,}", f"{100 * count / total:.1f} %")
    Console(highlight=False).print(table)


def record_object(data: Dataset) -> dict[str, Any]:
    """Fields and entities, for --json."""
    import msgspec

    from nanosmith.data.record.report import record_report

    found: dict[str, Any] = msgspec.to_builtins(record_report(data))
    return found


def show_record(data: Dataset) -> None:
    """A table of the fields, and one of the entities."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nanosmith.data.record.report import record_report

    report = record_report(data)
    if report.fields:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("field", "type", "values, or how they are copied"):
            table.add_column(name, overflow="fold")
        for name in ("have it", "not in the text", "written differently"):
            table.add_column(name, justify="right")
        for row in report.fields:
            table.add_row(*map(Text, _cells(row)))
        Console(highlight=False).print(table)
    if report.entities:
        show_labels("entity", list(report.entities.items()), sum(report.entities.values()))


def _cells(row: FieldRow) -> list[str]:
    is_copied = row.type in ("span", "spans")
    missing = f"; {row.missing} where missing" if row.missing else ""
    what = row.normal if is_copied else _values(row.values)
    lost = [_lines(lines) if is_copied else "" for lines in (row.unlocated, row.rewritten)]
    return [row.name, row.type, what + missing, f"{row.has:,}", *lost]


def _values(values: Sequence[str]) -> str:
    more = f" and {len(values) - SHOWN_VALUES:,} more" if len(values) > SHOWN_VALUES else ""
    return ", ".join(values[:SHOWN_VALUES]) + more


def _lines(lines: Sequence[int]) -> str:
    if not lines:
        return "0"
    shown = ", ".join(map(str, lines[:SHOWN_LINES])) + (", …" if len(lines) > SHOWN_LINES else "")
    return f"{len(lines):,} (line{'s' if len(lines) > 1 else ''} {shown})"
