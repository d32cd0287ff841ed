"""What `Report.made` holds, as rows to show. Its content is the flow's, so nothing is taken for granted here."""

from __future__ import annotations

from typing import Any, NamedTuple

from nanosmith.score.render import figures
from nanosmith.score.report import Report

SHOWN_APART = ("candidates", "why")
SHARES = ("accuracy", "macro_f1")


class Cell(NamedTuple):
    """A figure as text; `share` in [0, 1] where a bar can show it."""

    text: str
    share: float | None = None


class Candidates(NamedTuple):
    """The recipes that were tried: names of the columns, and one row of cells each."""

    names: list[str]
    rows: list[list[Cell]]


def facts(report: Report) -> list[tuple[str, str]]:
    """Names and values on one line each, without those that have a place of their own."""
    return [(_title(name), value_text(name, v)) for name, v in report.made.items() if name not in SHOWN_APART]


def why(report: Report) -> list[str]:
    """The sentences that tell why the task was recognised as it was."""
    told = report.made.get("why") or []
    return [told] if isinstance(told, str) else [str(sentence) for sentence in told]


def candidates(report: Report) -> Candidates | None:
    """The table of `made["candidates"]`, a list of objects; a figure that one of them lacks is shown as a dash."""
    tried = [row for row in report.made.get("candidates") or () if isinstance(row, dict)]
    names = list(dict.fromkeys(name for row in tried for name in row))
    if not names:
        return None
    return Candidates(
        [_title(name) for name in names], [[_cell(name, row.get(name)) for name in names] for row in tried]
    )


def value_text(name: str, value: Any) -> str:
    """A value on one line; the ending of its name tells the unit: `_s`, `_ms`, `bytes`."""
    if isinstance(value, dict):
        return ", ".join(f"{_title(key)} {value_text(key, inner)}" for key, inner in value.items()) or figures.NONE
    if isinstance(value, list | tuple):
        return ", ".join(value_text(name, inner) for inner in value) or figures.NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return figures.NONE if value is None else str(value)
    return _number(name, value)


def _number(name: str, value: float) -> str:
    if name == "created_at":
        return figures.day(int(value))
    if name.endswith(("_s", "seconds")):
        return figures.duration(value)
    if name.endswith("bytes"):
        return figures.size(int(value))
    if name.endswith("_ms"):
        return figures.milliseconds(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _cell(name: str, value: Any) -> Cell:
    if name in SHARES and isinstance(value, float) and 0 <= value <= 1:
        return Cell(figures.percent(value), value)
    return Cell(value_text(name, value))


def _title(name: str) -> str:
    return str(name).removesuffix("_s").replace("_", " ")
