"""What `Report.record` and `Report.text` hold, as rows to show, the same in text and HTML."""

from __future__ import annotations

from typing import Any, NamedTuple

from nanosmith.score.record_figures import FieldRow
from nanosmith.score.render import figures
from nanosmith.score.report import Report
from nanosmith.score.text_figures import TextFigures

FIELD_NAMES = ("field", "F1", "95 % interval", "precision", "recall", "accuracy", "wanted", "given")
SHOWN_WORST = 20
HEADINGS = {"record": "record match", "text": "exact match"}


class FieldCells(NamedTuple):
    """One row of the table of fields, under FIELD_NAMES."""

    field: str
    f1: str
    interval: str
    precision: str
    recall: str
    accuracy: str
    wanted: str
    given: str


def parts(report: Report) -> dict[str, Any]:
    """What the page shows of both."""
    return {
        "field_names": FIELD_NAMES,
        "field_rows": [field_cells(row) for row in report.record.fields] if report.record else [],
        "facts": facts(report),
        "shown_worst": SHOWN_WORST,
    }


def field_cells(row: FieldRow) -> FieldCells:
    low, high = row.f1_interval
    return FieldCells(
        field=f"{row.name} ({row.type})",
        f1=f"{100 * row.f1:.1f}",
        interval=f"{100 * low:.1f} – {100 * high:.1f}",
        precision=f"{100 * row.precision:.1f}",
        recall=f"{100 * row.recall:.1f}",
        accuracy=f"{100 * row.accuracy:.1f}",
        wanted=f"{row.support:,}",
        given=f"{row.given:,}",
    )


def facts(report: Report) -> list[tuple[str, str, str]]:
    """Name, figure and remark of what stands beside the headline."""
    if report.text is not None:
        return _text_facts(report.text)
    if report.record is None:
        return []
    rows = []
    if spans := report.record.spans:
        told = f"strict, 95 % interval {figures.interval(spans.f1_interval)}, {spans.support:,} wanted"
        rows.append(("span F1", figures.percent(spans.f1), told))
    if report.record.valid is not None:
        rows.append(("valid", figures.percent(report.record.valid), "of the answers obey the schema"))
    return rows


def _text_facts(text: TextFigures) -> list[tuple[str, str, str]]:
    rows = [
        ("BLEU", f"{text.bleu:.2f}", f"chrF {text.chrf:.2f}, up to {text.references} references"),
        ("ROUGE-L", figures.percent(text.rouge_l), f"95 % interval {figures.interval(text.rouge_l_interval)}"),
    ]
    if text.valid is not None:
        rows.append(("valid", figures.percent(text.valid), "of the answers obey the schema"))
    if pace := text.pace:
        p50, p95 = figures.milliseconds(pace.first_p50_ms), figures.milliseconds(pace.first_p95_ms)
        told = f"first piece after {p50} (p95 {p95}), {pace.tokens:.1f} tokens a text"
        rows.append(("pace", f"{figures.significant(pace.tokens_per_s)} tokens/s", told))
    return rows


def field_lines(report: Report) -> list[list[str]]:
    """The table of fields with its heading, the lowest F1 first."""
    found = sorted(report.record.fields, key=lambda row: (row.f1, -row.support)) if report.record else []
    return [list(FIELD_NAMES), *(list(field_cells(row)) for row in found)]


def worst_lines(report: Report, most: int = 10) -> list[str]:
    """Wrong answers, wanted beside given: of a record field by field, of a text as a whole."""
    lines = []
    for record in report.record.worst[:most] if report.record else ():
        sure = "" if record.confidence is None else f", confidence {record.confidence:.2f}"
        lines.append(f"  example {record.index + 1}{sure}: {record.text}")
        for one in record.differences:
            lines.append(f"    {one.name}: wanted {one.wanted or figures.NONE}, given {one.given or figures.NONE}")
    for text in report.text.worst[:most] if report.text else ():
        lines.append(f"  example {text.index + 1}, ROUGE-L {text.rouge_l:.2f}: {text.text}")
        lines += [f"    wanted {text.wanted}", f"    given  {text.given}"]
    return lines
