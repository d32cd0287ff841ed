"""Plain JSONL: `{"text": "…", "label": "…"}` or `{"text": "…", "labels": ["…"]}`, optional `context` and `id`."""

from __future__ import annotations

from pathlib import Path

from nanosmith.data.lines import json_objects
from nanosmith.data.reading import Reading
from nanosmith.data.rows import add_row


def read(path: Path) -> Reading:
    """Read every line; other keys are ignored."""
    reading = Reading()
    for line, record in json_objects(path, reading):
        with reading.line(line):
            add_row(reading, line, record)
    return reading
