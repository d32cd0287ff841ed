"""What of a data set of records can be learnt."""

from __future__ import annotations

import json
from typing import Any

from nanosmith.core.example import Example, Message
from nanosmith.core.record import Field, RecordForm
from nanosmith.core.task import Task
from nanosmith.data.dataset import Dataset
from nanosmith.data.record.report import record_problems, record_report, unseen_values

FORM = RecordForm((Field(("who",), "span"), Field(("size",), "choice", ('"l"',))), ("city", "town"))


def dataset(*pairs: tuple[str, dict[str, Any]]) -> Dataset:
    examples = [Example((Message("user", text),), json.dumps(answer), 10 + i) for i, (text, answer) in enumerate(pairs)]
    return Dataset(tuple(examples), Task("record", record=FORM))


def entity(label: str, start: int, end: int) -> dict[str, Any]:
    return {"label": label, "start": start, "end": end, "text": "x" * (end - start)}


DATA = dataset(
    ("Ann in Rome", {"who": "Ann", "size": "l", "entities": [entity("city", 7, 11), entity("town", 7, 11)]}),
    ("ANN in Rome", {"who": "Ann", "size": "l", "entities": [entity("city", 7, 11)]}),
    ("nobody", {"who": "Bob", "size": "xl", "entities": [entity("place", 0, 2)]}),
)


def test_report() -> None:
    """Lines of values that are not in the text, or written differently there; entities by label."""
    report = record_report(DATA)
    assert [(row.has, row.unlocated, row.rewritten) for row in report.fields] == [(3, (12,), (11,)), (3, (), ())]
    assert report.entities == {"city": 2, "town": 1}


def test_problems() -> None:
    """They are warnings that say how many, and what becomes of them."""
    problems = {problem.code: problem for problem in record_problems(DATA)}
    assert set(problems) == {"unlocated", "rewritten", "nested_entities", "label_once"}
    assert "not in the text: 1 of 3" in problems["unlocated"].message
    assert problems["unlocated"].examples == ('line 12: "Bob"',)
    assert problems["nested_entities"].line == 10


def test_entities_that_cut_words() -> None:
    """They are told where they are many; entities of whole words are not."""
    cut = ("Müller in Rome", {"who": "Müller", "size": "l", "entities": [entity("city", 11, 14)]})
    whole = ("to Rome", {"who": "Rome", "size": "l", "entities": [entity("city", 3, 7)]})
    found = {one.code: one for one in record_problems(dataset(cut, whole))}
    assert "inside of a word: 1 of 2" in found["inside_words"].message
    assert found["inside_words"].examples == ('line 10: "ome"',)
    assert "inside_words" not in {one.code for one in record_problems(dataset(whole))}


def test_a_test_set() -> None:
    """Labels and values that the task lacks are told."""
    assert [(problem.code, problem.count) for problem in unseen_values(DATA)] == [
        ("unseen_label", 1),
        ("unseen_value", 1),
    ]
