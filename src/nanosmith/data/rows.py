"""Plain rows (text, label or labels, optional context and id), as JSONL and CSV files hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from nanosmith.core.example import Example, Message
from nanosmith.core.task import Kind
from nanosmith.data.reading import BadLine, Reading, json_type

LABEL_KEYS: dict[str, Kind] = {"label": "choice", "labels": "labels"}


def add_row(reading: Reading, line: int, row: Mapping[str, Any]) -> None:
    """Check one row and keep its Example. `context`, the previous turn, becomes an assistant message before the text.

    The answer of a `labels` row is a JSON list. Raises BadLine.
    """
    text = _text(row)
    kind = _kind(row)
    if reading.declared not in (None, kind):
        message = "some lines have `label`, others `labels`"
        raise BadLine("mixed_label_keys", message, "Use `labels` with a list in all lines, or `label` in all lines.")
    answer = _label(row["label"]) if kind == "choice" else _labels(row["labels"])
    context = row.get("context")
    if context is not None and not isinstance(context, str):
        raise BadLine("bad_context", f"`context` is {json_type(context)}", "Write the previous turn as a string.")
    reading.claim_id(row.get("id"), line)
    reading.declared = kind
    before = (Message("assistant", context),) if context and context.strip() else ()
    reading.examples.append(Example((*before, Message("user", text)), answer, line))


def _text(row: Mapping[str, Any]) -> str:
    text = row.get("text")
    if not isinstance(text, str):
        got = f"`text` is {json_type(text)}" if "text" in row else "there is no `text`"
        raise BadLine("missing_text", got, "Write the input as a string under the key `text`.")
    if not text.strip():
        raise BadLine("empty_text", "`text` is empty", "Write a text, or remove the line.")
    return text


def _kind(row: Mapping[str, Any]) -> Kind:
    given = [key for key in LABEL_KEYS if row.get(key) is not None]
    if not given:
        raise BadLine("missing_label", "there is neither `label` nor `labels`", "Add the wanted answer.")
    if len(given) > 1:
        raise BadLine("two_label_keys", "there are both `label` and `labels`", "Keep one of them.")
    return LABEL_KEYS[given[0]]


def _label(value: object) -> str:
    """A label as text: numbers and booleans are written as in JSON."""
    if isinstance(value, dict | list) or value is None:
        message = f"a label is {json_type(value)}"
        raise BadLine("bad_label", message, 'Write a string; for several labels: "labels": ["a", "b"].')
    label = value.strip() if isinstance(value, str) else msgspec.json.encode(value).decode()
    if not label:
        raise BadLine("empty_answer", "a label is empty", "Write a label, or remove the line.")
    return label


def _labels(value: object) -> str:
    if not isinstance(value, list):
        raise BadLine("bad_label", f"`labels` is {json_type(value)}", 'Write a list of strings: "labels": ["a", "b"].')
    return json.dumps([_label(item) for item in value], ensure_ascii=False)
