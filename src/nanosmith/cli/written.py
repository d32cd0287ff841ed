"""Records and texts on a terminal and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from nanosmith.core.example import Input
    from nanosmith.core.prediction import FieldAnswer, Prediction
    from nanosmith.core.task import Task

NOTHING = "–"
VALUE_CHARS = 60


def show(task: Task, given: Input, answer: Prediction, spans: bool) -> None:
    """The answer; of a record also each field with its confidence, and with `spans` the text with its places."""
    from nanosmith.predict.shown import marked

    cut = "  (end not read)" if answer.dropped_tokens else ""
    typer.echo(f"{answer.value}{_confidence(answer.confidence)}{cut}")
    rows = [(field.name, _value(field), _confidence(field.confidence)) for field in answer.fields]
    names, values = (max((len(row[i]) for row in rows), default=0) for i in (0, 1))
    for name, value, confidence in rows:
        typer.echo(f"  {name:<{names}}  {value:<{values}}{confidence}".rstrip())
    if spans and task.kind == "record":
        typer.echo("\n".join(f"  {line}" for line in marked(task, given, answer).splitlines()))


def as_object(task: Task, given: Input, answer: Prediction) -> dict[str, Any]:
    """A record with its fields, or a text."""
    from nanosmith.predict.shown import field_objects

    read: dict[str, Any] = {"tokens": answer.tokens, "truncated": answer.dropped_tokens > 0}
    if task.kind == "text":
        return {"value": answer.value, **read}
    return {"value": json.loads(str(answer.value)), **field_objects(answer, task.text_of(given)), **read}


def _value(field: FieldAnswer) -> str:
    if field.value is None:
        return NOTHING
    text = field.value if isinstance(field.value, str) else json.dumps(field.value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= VALUE_CHARS else line[: VALUE_CHARS - 1] + "…"


def _confidence(confidence: float | None) -> str:
    return "" if confidence is None else f"  {confidence:.2f}"
