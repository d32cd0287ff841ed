"""A Report as JSON, on one line; `msgspec.json.decode(content, type=Report)` gives it back."""

from __future__ import annotations

from typing import Any

import msgspec

from nanosmith.score.report import Report


def as_json(report: Report) -> bytes:
    """UTF-8 JSON of `as_object`."""
    return msgspec.json.encode(as_object(report))


def as_object(report: Report) -> dict[str, Any]:
    """Every field of the Report, under its own name, and some figures once more at the top, where scripts find them
    beside `accuracy`: of records `record_match`, `span_f1` (None where nothing is copied) and `fields`, of texts
    `exact_match`, `rouge_l`, `bleu` and `chrf`, of all `ece`, `oos_auroc` and `oos_recall` (None without calibration or
    out-of-scope examples)."""
    fields: dict[str, Any] = msgspec.to_builtins(report)
    scope = report.scope
    return {
        **fields,
        **_record(report),
        **_text(report),
        "ece": report.calibration.ece if report.calibration else None,
        "oos_auroc": scope.auroc if scope else None,
        "oos_recall": scope.recall if scope else None,
    }


def _record(report: Report) -> dict[str, Any]:
    if report.record is None:
        return {}
    spans = report.record.spans
    return {
        "record_match": report.accuracy,
        "span_f1": spans.f1 if spans else None,
        "fields": msgspec.to_builtins(report.record.fields),
    }


def _text(report: Report) -> dict[str, Any]:
    text = report.text
    return {} if text is None else {name: getattr(text, name) for name in ("exact_match", "rouge_l", "bleu", "chrf")}
