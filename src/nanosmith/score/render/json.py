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
    beside `accuracy`: `ece`, `oos_auroc` and `oos_recall` (None without calibration or out-of-scope examples)."""
    fields: dict[str, Any] = msgspec.to_builtins(report)
    scope = report.scope
    return {
        **fields,
        "ece": report.calibration.ece if report.calibration else None,
        "oos_auroc": scope.auroc if scope else None,
        "oos_recall": scope.recall if scope else None,
    }
