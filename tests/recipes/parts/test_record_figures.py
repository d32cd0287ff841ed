from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nanosmith.core.prediction import FieldAnswer
from nanosmith.core.record import Field, RecordForm
from nanosmith.predict.record_answer import ENTITY, Answer
from nanosmith.recipes.parts.record_figures import TYPES, confidences, figures, outcomes

FORM = RecordForm((Field(("kind",), "choice", ('"a"', '"b"')), Field(("to", "city"), "span", missing="null")), ("x",))


def record(kind: str, city: str | None, *places: tuple[int, int]) -> str:
    entities: list[dict[str, Any]] = [{"label": "x", "start": a, "end": b, "text": "t"} for a, b in places]
    return json.dumps({"kind": kind, "to": {"city": city}, "entities": entities})


def test_figures_of_records() -> None:
    """Whole records count, and so do their parts: values that are there, and entities by label and place."""
    wanted = [record("a", "Oslo", (0, 2)), record("b", None)]
    assert figures(FORM, wanted, wanted) == (1.0, 1.0)
    found = figures(FORM, [record("a", "Oslo", (0, 3)), record("b", None)], wanted)
    assert found.match == 0.5
    assert found.f1 == pytest.approx(2 * 3 / 8)
    assert figures(FORM, [], []) == (0.0, 1.0)


def test_outcomes_tell_what_was_right() -> None:
    """Each part has a row with its type, its probability, and whether it was right; the record has the last one."""
    parts = (
        FieldAnswer("kind", "a", 0.9),
        FieldAnswer("to.city", None, 0.8),
        FieldAnswer("x", "t", 0.7, ((0, 2),)),
        FieldAnswer("x", "t", 0.6, ((4, 6),)),
    )
    answer = Answer(record("a", None, (0, 2), (4, 6)), parts, ("choice", "span", ENTITY, ENTITY), 0.3)
    rows = outcomes(FORM, [answer], [record("a", None, (0, 2))])
    told = [(TYPES[int(kind)], round(float(p), 3), bool(right)) for kind, p, right in rows]
    assert told == [
        ("choice", 0.9, True), ("span", 0.8, True), (ENTITY, 0.7, True), (ENTITY, 0.6, False), ("record", 0.3, False),
    ]  # fmt: skip


def test_confidences_by_type() -> None:
    """Each type has a scale of its own, and the record has one."""
    sure = [(TYPES.index("choice"), 0.9, 1.0)] * 200
    unsure = [(TYPES.index("record"), 0.9, float(i % 2)) for i in range(200)]
    told = confidences(np.array([*sure, *unsure], dtype=np.float32))
    assert told.examples == 200
    assert list(told.fields) == ["choice"]
    assert told.fields["choice"].offset > told.record.offset
