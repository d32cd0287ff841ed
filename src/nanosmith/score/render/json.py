"""A Report as JSON, on one line; `msgspec.json.decode(content, type=Report)` gives it back."""

from __future__ import annotations

import msgspec

from nanosmith.score.report import Report


def as_json(report: Report) -> bytes:
    """UTF-8 JSON; every field of the Report, under its own name."""
    return msgspec.json.encode(report)
