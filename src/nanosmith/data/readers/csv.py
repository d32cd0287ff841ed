"""CSV: a header with `text` and `label` or `labels`, optional `context` and `id`; RFC 4180 quoting, UTF-8. Columns are
separated by commas, semicolons or tabs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.limits import MAX_LINE_BYTES
from nanosmith.data.lines import text_lines
from nanosmith.data.reading import BadLine, Reading
from nanosmith.data.rows import LABEL_KEYS, add_row

USED = ("text", *LABEL_KEYS, "context", "id")
SEPARATORS = (",", ";", "\t")
HEADER_REMEDY = "Begin the file with a line such as: text,label. Separate columns by commas, semicolons or tabs."


def read(path: Path) -> Reading:
    """Read every row; other columns are ignored. A row's line is the one that it begins on."""
    reading = Reading()
    for line, row in rows(path, reading):
        with reading.line(line):
            add_row(reading, line, row)
    return reading


def rows(path: Path, reading: Reading, *, labelled: bool = True) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every row with its line, by the columns that are used; wrong ones become Problems. `labelled`: the header must
    name a column of answers."""
    csv.field_size_limit(MAX_LINE_BYTES)
    columns: list[str] | None = None
    for line, cells in _rows(path, reading):
        row = None
        with reading.line(line):
            if columns is None:
                columns = _columns(cells, labelled=labelled)
            else:
                reading.rows += 1
                row = _record(columns, cells)
        if columns is None:
            return
        if row is not None:
            yield line, row


def _rows(path: Path, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the line they begin on. Rows that break the quoting rules become Problems."""
    lines = (f"{text or ''}\n" for _, text in text_lines(path, reading))
    header = next(lines, "")
    rows = csv.reader(chain([header], lines), delimiter=_separator(header), strict=True)
    while True:
        begin = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            reading.rows += 1
            with reading.line(begin):
                raise BadLine("csv_error", f"not CSV: {error}", 'Put text with commas in "…"; write " as "".') from None
            continue
        if any(cells):
            yield begin, cells


def _separator(header: str) -> str:
    """What separates the column `text` from others in this line; a comma where nothing does."""
    for mark in SEPARATORS:
        names = [cell.strip(' \n"').lower() for cell in header.split(mark)]
        if "text" in names and len(names) > 1:
            return mark
    return ","


def _columns(cells: list[str], *, labelled: bool) -> list[str]:
    """Column names in lower case. Raises BadLine where needed ones are missing or repeated."""
    names = [cell.strip().lower() for cell in cells]
    used = [name for name in names if name in USED]
    if "text" not in used or (labelled and not set(used) & LABEL_KEYS.keys()):
        message = f"the header needs the columns text and label, or text and labels (got {', '.join(cells)[:200]!r})"
        raise BadLine("csv_header", message, HEADER_REMEDY)
    if len(used) > len(set(used)):
        raise BadLine("csv_header", "a column name stands twice in the header", "Rename or remove one of the columns.")
    return names


def _record(columns: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(columns):
        message = f"wrong number of columns (got {len(cells)}; allowed {len(columns)})"
        raise BadLine("csv_columns", message, 'Put text with commas in "…".')
    row: dict[str, Any] = {name: cell for name, cell in zip(columns, cells) if name in USED}
    if row.get("id") == "":
        row["id"] = None
    if row.get("label") == "" and "labels" in row:
        row["label"] = None
    if "labels" in row:
        row["labels"] = None if row.get("label") and not row["labels"] else _labels(row["labels"])
    return row


def _labels(cell: str) -> list[str]:
    """Labels of a cell: a JSON list, or parts separated by | or ;. An empty cell has none."""
    if not cell.lstrip().startswith("["):
        return [part.strip() for part in re.split(r"[|;]", cell) if part.strip()]
    try:
        return msgspec.json.decode(cell, type=list[str])
    except (msgspec.DecodeError, RecursionError):
        message = f"`labels` begins with [ but is not a JSON list of strings: {cell[:80]!r}"
        raise BadLine("bad_label", message, 'Write ["a", "b"], or a|b.') from None
