"""A predictor of records that answers what it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nanosmith.core.example import Input
from nanosmith.core.prediction import FieldAnswer, Prediction
from nanosmith.core.record import Field, RecordForm
from nanosmith.core.task import Task
from nanosmith.data.record.schema import schema_of

FIELDS = (Field(("label",), "choice", ('"book"', '"cancel"')), Field(("who",), "span", missing="null"))
ENTITIES = ("city", "time")
FORM = RecordForm(FIELDS, ENTITIES)
TASK = Task("record", record=RecordForm(FIELDS, ENTITIES, schema_of(FORM)))


class Told:
    """Answers the record that belongs to the text, each with a confidence of 0.9."""

    def __init__(self, answers: Mapping[str, dict[str, Any]], task: Task = TASK) -> None:
        self.name, self.task, self._answers = "told", task, answers

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return [self._answer(self._answers[self.task.text_of(given)]) for given in inputs]

    def _answer(self, record: dict[str, Any]) -> Prediction:
        form = self.task.record or RecordForm()
        fields = [FieldAnswer(field.name, record.get(field.name), 0.9) for field in form.fields]
        fields += [FieldAnswer(e["label"], e["text"], 0.9, ((e["start"], e["end"]),)) for e in record["entities"]]
        return Prediction(json.dumps(record), 0.9, (), (), self.name, tokens=3, fields=tuple(fields))


def entity(label: str, start: int, end: int) -> dict[str, Any]:
    return {"label": label, "start": start, "end": end, "text": "x" * (end - start)}


def record(label: str, who: str | None, *entities: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "who": who, "entities": list(entities)}
