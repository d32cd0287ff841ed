"""A record's answer as people and programs see it: each field with its confidence, and marked in the text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nanosmith.core.example import Input
from nanosmith.core.prediction import FieldAnswer, Prediction
from nanosmith.core.task import Task


def field_objects(prediction: Prediction, text: str) -> dict[str, Any]:
    """Confidences and places as JSON; `text` is what the model read."""
    fields = [field_object(field) for field in prediction.fields]
    return {"confidence": prediction.confidence, "fields": fields, "text": text}


def field_object(field: FieldAnswer) -> dict[str, Any]:
    spans = [{"start": start, "end": end} for start, end in field.spans]
    return {"name": field.name, "value": field.value, "confidence": field.confidence, "spans": spans}


def marked(task: Task, given: Input, prediction: Prediction) -> str:
    """The text that the model read, with `[words|name]` in the place of what was copied; of places that overlap, the
    first one is marked."""
    text, pieces, at = task.text_of(given), [], 0
    for start, end, name in sorted(_places(task, given, prediction)):
        if start >= at:
            pieces += [text[at:start], f"[{text[start:end]}|{name}]"]
            at = end
    return "".join([*pieces, text[at:]])


def _places(task: Task, given: Input, prediction: Prediction) -> Iterator[tuple[int, int, str]]:
    """Characters [start, end) of `text_of`; those of entities count from the last user turn."""
    fields, shift = len(task.record.fields) if task.record else 0, task.turn_start(given)
    for i, field in enumerate(prediction.fields):
        for start, end in field.spans:
            moved = shift if i >= fields else 0
            yield start + moved, end + moved, field.name
