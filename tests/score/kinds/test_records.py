"""Figures of records: whole ones, fields, spans, validity."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from tests.score.kinds.records import ENTITIES, Told, entity, record

from nanosmith.core.record import RecordForm
from nanosmith.core.task import Task
from nanosmith.score.evaluate import evaluate
from nanosmith.score.report import Report

WANTED = {
    "a": record("book", "Ann", entity("city", 0, 5), entity("time", 6, 8)),
    "b": record("cancel", None),
    "c": record("book", "Bob", entity("city", 3, 5)),
    "d": record("cancel", None, entity("time", 0, 2)),
}
GIVEN = {
    "a": record("book", "Ann", entity("time", 6, 8), entity("city", 0, 5)),  # in another order
    "b": record("book", "Cid"),
    "c": record("book", None, entity("city", 3, 6)),
    "d": record("cancel", None, entity("city", 0, 2)),
}


def report_of(given: dict[str, Any], wanted: dict[str, Any]) -> Report:
    return evaluate(Told(given), list(wanted), [json.dumps(one) for one in wanted.values()])


def test_whole_records() -> None:
    """Accuracy counts records that are equal as JSON; the order of entities does not count."""
    report = report_of(GIVEN, WANTED)
    assert (report.n, report.accuracy, report.wrong_count, report.kind) == (4, 0.25, 3, "record")
    assert report.calibration is not None
    assert report.calibration.ece == pytest.approx(0.65)
    assert [row.index for row in report.wrong] == [1, 2, 3]


def test_fields() -> None:
    """Each field counts what is there; each label of entities counts exact places."""
    report = report_of(GIVEN, WANTED)
    assert report.record is not None
    rows = {row.name: row for row in report.record.fields}
    assert list(rows) == ["label", "who", *ENTITIES]
    assert (rows["label"].type, rows["label"].accuracy, rows["label"].f1) == ("choice", 0.75, 0.75)
    assert (rows["who"].precision, rows["who"].recall, rows["who"].support, rows["who"].given) == (0.5, 0.5, 2, 2)
    assert rows["who"].accuracy == 0.5  # nothing is right where nothing is wanted
    assert (rows["city"].precision, rows["city"].recall) == (pytest.approx(1 / 3), 0.5)
    assert (rows["time"].precision, rows["time"].recall, rows["time"].accuracy) == (1.0, 0.5, 0.75)
    low, high = rows["city"].f1_interval
    assert low < rows["city"].f1 < high
    assert rows["time"].ece == pytest.approx(0.1)
    assert report.macro_f1 == pytest.approx(sum(row.f1 for row in rows.values()) / 4)


def test_spans_are_counted_as_by_seqeval() -> None:
    """Micro F1 of random entities is that of seqeval on their BIO tags."""
    metrics: Any = pytest.importorskip("seqeval.metrics")
    draw = random.Random(0)

    def drawn() -> dict[str, Any]:
        borders = sorted(draw.sample(range(12), 4))
        pairs = [(borders[0], borders[1]), (borders[2], borders[3])]
        return record("book", None, *(entity(draw.choice(ENTITIES), *pair) for pair in pairs if draw.random() < 0.7))

    def tags(one: dict[str, Any]) -> list[str]:
        found = ["O"] * 12
        for part in one["entities"]:
            found[part["start"] : part["end"]] = [f"I-{part['label']}"] * (part["end"] - part["start"])
            found[part["start"]] = f"B-{part['label']}"
        return found

    wanted = {str(i): drawn() for i in range(60)}
    given = {name: one if draw.random() < 0.4 else drawn() for name, one in wanted.items()}
    report = report_of(given, wanted)
    assert report.record is not None
    assert report.record.spans is not None
    expected = metrics.f1_score([tags(one) for one in wanted.values()], [tags(one) for one in given.values()])
    assert report.record.spans.f1 == pytest.approx(expected)


def test_validity() -> None:
    """The share of answers that obey the schema; unknown where the schema has words that we do not know."""
    bad = GIVEN | {"b": record("nothing", None)}
    found = report_of(bad, WANTED)
    assert found.record is not None
    assert found.record.valid == 0.75
    task = Task("record", record=RecordForm(entities=ENTITIES, schema={"type": "object", "patternProperties": {}}))
    report = evaluate(Told(GIVEN, task), list(WANTED), [json.dumps(one) for one in WANTED.values()])
    assert report.record is not None
    assert report.record.valid is None


def test_worst_records_field_by_field() -> None:
    """Wrong records name what differs, wanted beside given."""
    report = report_of(GIVEN, WANTED)
    assert report.record is not None
    shown = {row.index: [(one.name, one.wanted, one.given) for one in row.differences] for row in report.record.worst}
    assert shown[1] == [("label", "cancel", "book"), ("who", None, "Cid")]
    assert shown[2] == [("who", "Bob", None), ("city", "xx [3–5]", "xxx [3–6]")]
    confused = [(row.wanted, row.given, row.count) for row in report.confusions]
    assert confused == [("label: cancel", "label: book", 1)]


def test_a_label_that_the_model_does_not_have() -> None:
    """It has a row, counts for the spans, and is noted."""
    wanted = {"a": record("book", None, entity("planet", 0, 3))}
    report = report_of({"a": record("book", None)}, wanted)
    assert report.record is not None
    row = report.record.fields[-1]
    assert (row.name, row.type, row.support, row.recall) == ("planet", "entity", 1, 0.0)
    assert report.record.spans is not None
    assert report.record.spans.support == 1
    assert "'planet'" in report.notes[0]
