"""A Report as plain text of at most 100 columns: the headline first, then what is needed to judge it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from nanosmith.core.task import Value
from nanosmith.score.calibration import BINS
from nanosmith.score.render import deep, explained, figures, made, written
from nanosmith.score.report import Report

WIDTH = 100
LABEL_CHARS = 36
WORST_CLASSES = 10
WORST_CONFUSIONS = 10


def as_text(report: Report) -> str:
    """Sections in the order of interest, with a blank line between them and no colour codes."""
    sections = (
        _headline, _notes, _made, _candidates, _fields, _calibration, _scope, _confusions, explained.lines, _worst,
        _classes, _deep, _cost,
    )  # fmt: skip
    blocks = [lines for section in sections if (lines := section(report))]
    return "\n\n".join("\n".join(_fit(line) for line in lines) for lines in blocks)


def _headline(report: Report) -> list[str]:
    right = report.n - report.wrong_count
    times = report.latency_ms
    others = f"p95 {figures.milliseconds(times.p95)}, p99 {figures.milliseconds(times.p99)}"
    known = f"95 % interval {figures.interval(report.accuracy_interval)}, {right:,} of {report.n:,} right"
    macro = f"95 % interval {figures.interval(report.macro_f1_interval)}"
    rows = [
        (written.HEADINGS.get(report.kind, "accuracy"), figures.percent(report.accuracy), known),
        *written.facts(report),
        *([] if report.text else [("macro-F1", figures.percent(report.macro_f1), macro)]),
        ("latency p50", figures.milliseconds(times.p50), f"{others}, mean {figures.milliseconds(times.mean)}"),
        ("size", figures.size(report.bytes), f"peak memory of the process {figures.size(report.peak_memory_bytes)}"),
    ]
    cpu = f"measured on {report.cpu.name}, {report.cpu.cores} cores, {figures.day(report.created_at)}"
    return [f"{report.model} ({report.kind})", *_table(rows), cpu]


def _notes(report: Report) -> list[str]:
    return [line for note in report.notes for line in _wrapped(f"note: {note}")]


def _made(report: Report) -> list[str]:
    rows = made.facts(report)
    sentences = [line for sentence in made.why(report) for line in _wrapped(sentence)]
    return ["How it was made", *sentences, *_table(rows)] if rows or sentences else []


def _candidates(report: Report) -> list[str]:
    tried = made.candidates(report)
    if not tried:
        return []
    return ["Candidates tried", *_table([tried.names, *([cell.text for cell in row] for row in tried.rows)])]


def _calibration(report: Report) -> list[str]:
    found = report.calibration
    if found is None:
        return []
    scores = [f"expected calibration error {figures.percent(found.ece)} ({BINS} bins of equal mass)"]
    scores += [f"Brier score {found.brier:.4f}"] if found.brier is not None else []
    scores += [f"NLL {found.nll:.4f} nats"] if found.nll is not None else []
    rows = [("accuracy wanted", "answered here", "accuracy", "confidence from")]
    for target in found.targets:
        best = target.best
        shown = ("none", "", "")
        if best:
            shown = (figures.percent(best.coverage, 1), figures.percent(best.accuracy), f"{best.confidence:.3f}")
        rows.append((f"at least {figures.percent(target.accuracy, 0)}", *shown))
    return ["Confidence", ", ".join(scores), *_table(rows), "(on these examples; no bound for other traffic)"]


def _scope(report: Report) -> list[str]:
    found = report.scope
    if found is None:
        return []
    lines = ["Out of scope"]
    if found.refused is None:
        lines.append("the model has no score for it; 1 - its highest probability is used in its place")
    else:
        lines.append(f"of {found.inside:,} in-scope examples {figures.percent(found.refused, 1)} are refused")
    if found.recall is not None:
        bounds = figures.interval(found.recall_interval or (0.0, 1.0))
        share = figures.percent(found.recall, 1)
        lines.append(f"of {found.outside:,} others {share} are refused (95 % interval {bounds})")
    if found.auroc is not None and found.recall_at_95 is not None:
        share = figures.percent(found.recall_at_95, 1)
        lines.append(
            f"AUROC {figures.percent(found.auroc)}; where 95 % in scope are kept, {share} of the others are not"
        )
    return lines


def _confusions(report: Report) -> list[str]:
    if not report.confusions:
        return []
    rows = [("wanted", "given", "times")]
    rows += [(_label(row.wanted), _label(row.given), str(row.count)) for row in report.confusions[:WORST_CONFUSIONS]]
    return ["Worst confusions", *_table(rows)]


def _fields(report: Report) -> list[str]:
    return ["Fields, lowest F1 first, in %", *_table(written.field_lines(report))] if report.record else []


def _worst(report: Report) -> list[str]:
    lines = written.worst_lines(report)
    how = "of the highest confidence" if report.record else "of the lowest ROUGE-L"
    return [f"Wrong answers {how}", *lines] if lines else []


def _classes(report: Report) -> list[str]:
    if not report.per_class:
        return []
    worst = sorted(report.per_class, key=lambda row: (row.f1, -row.support))[:WORST_CLASSES]
    rows = [["label", "F1", "precision", "recall", "examples"]]
    for row in worst:
        shares = [f"{100 * share:.1f}" for share in (row.f1, row.precision, row.recall)]
        rows.append([_label(row.label), *shares, str(row.support)])
    of = f"the {len(worst)} lowest of {len(report.per_class)}" if len(worst) < len(report.per_class) else "all"
    return [f"Classes by F1, in % ({of})", *_table(rows)]


def _deep(report: Report) -> list[str]:
    """Typos and swapped groups, where they were measured."""
    lines = []
    if typos := report.robustness:
        share = figures.percent(typos.clean_accuracy)
        lines += [f"Typos, on a sample of {typos.n:,}, of which {share} are right without"]
        lines += _table([deep.LOSS_NAMES, *deep.losses(typos)])
        lines += _wrapped(deep.attack_sentence(typos.attack)) if typos.attack else []
    if (groups := report.fairness) and groups.axes:
        lines += [*([""] if lines else []), "Names and groups swapped for others; what changed, and the gap in points"]
        lines += _table([deep.AXIS_NAMES, *deep.swaps(groups)])
    return lines


def _cost(report: Report) -> list[str]:
    cost = report.cost
    rows = [(row.name + (" (this CPU)" if row.local else ""), f"{figures.dollars(row.usd):>10}") for row in cost.rows]
    hour = "an assumption" if cost.core_hour.assumed else "as given"
    return [
        f"Cost of a million requests of {cost.input_tokens:.1f} input and {cost.output_tokens:.1f} output tokens",
        *_table(rows),
        f"one core-hour at {figures.dollars(cost.core_hour.usd)} ({hour}); cloud prices of {cost.prices_date}",
    ]


def _label(value: Value | None) -> str:
    text = " ".join(figures.answer(value).split())
    return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1] + "…"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned on the left, two spaces apart, indented by two."""
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, WIDTH, subsequent_indent="  ")


def _fit(line: str) -> str:
    """One line of at most 100 columns; control characters are taken out, since labels may hold any."""
    shown = "".join(char if char.isprintable() else " " for char in line)
    return shown if len(shown) <= WIDTH else shown[: WIDTH - 1] + "…"
