"""Single labels as sets of one, for models that recognise combined queries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanosmith.core.errors import InputError
from nanosmith.data.as_labels import as_labels, load_test, with_joins
from nanosmith.data.dataset import Dataset
from nanosmith.data.load import load
from nanosmith.testing import topic_rows, write_chat


@pytest.fixture
def topics(tmp_path: Path) -> Dataset:
    return load(write_chat(tmp_path / "topics.jsonl", topic_rows(30)))


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_plain_answers_become_lists(topics: Dataset) -> None:
    """The label is in a JSON list; texts, lines and labels stay, and it is told what was done."""
    sets = as_labels(topics)
    assert (sets.task.kind, sets.task.form, sets.task.labels) == ("labels", "json_list", topics.task.labels)
    assert sets.values == [(value,) for value in topics.values]
    assert sets.examples[0].answer == '["refund"]'
    assert (sets.texts, sets.examples[4].line) == (topics.texts, topics.examples[4].line)
    assert "combined" in sets.why[-1]


def test_a_field_keeps_its_name(tmp_path: Path) -> None:
    """An answer in a field of a JSON object becomes a list in this field."""
    rows = [(text, json.dumps({"topic": label})) for text, label in topic_rows(30)]
    sets = as_labels(load(write_chat(tmp_path / "f.jsonl", rows)))
    assert sets.examples[0].answer == '{"topic": ["refund"]}'
    assert sets.values[0] == ("refund",)


def test_sets_stay_as_they_are(topics: Dataset) -> None:
    """Data that has sets already is not changed."""
    sets = as_labels(topics)
    assert as_labels(sets) is sets


@pytest.mark.parametrize("answer", ['["login", "refund"]', "refund"])
def test_test_files_of_either_kind(topics: Dataset, tmp_path: Path, answer: str) -> None:
    """A chat test file may have sets, or single labels as the training file has them."""
    task = as_labels(topics).task
    file = write_chat(tmp_path / "t.jsonl", [("where is my money", answer)])
    assert load_test(file, task).values == [("login", "refund") if "[" in answer else ("refund",)]
    for name, value in (("label", "refund"), ("labels", ["refund"])):
        assert load_test(write(tmp_path / f"{name}.jsonl", [{"text": "a", name: value}]), task).values == [("refund",)]


def test_bad_test_files_are_refused(topics: Dataset, tmp_path: Path) -> None:
    """Half a JSON list is no label of its own: the error is that of the wanted form, also for models with one label."""
    sets = as_labels(topics).task
    file = write_chat(tmp_path / "t.jsonl", [("where is my money", '["login", "refund"')])
    with pytest.raises(InputError, match="JSON list"):
        load_test(file, sets)
    rows: list[dict[str, object]] = [{"text": "a", "labels": ["login", "refund"]}]
    with pytest.raises(InputError, match="one label"):
        load_test(write(tmp_path / "l.jsonl", rows), topics.task)


def test_joined_examples_are_added(topics: Dataset) -> None:
    """All examples stay, as many joined texts come, with the labels of their parts; the seed decides which."""
    sets = as_labels(topics)
    more = with_joins(sets, seed=1)
    assert more.examples[:30] == sets.examples
    added = more.values[30:]
    assert len(added) == 30
    assert {len(value) for value in added} == {1, 2, 3}  # some joins have one label in common
    assert sum(len(value) > 1 for value in added) > 20
    assert more.digest == with_joins(sets, seed=1).digest != with_joins(sets, seed=2).digest
    assert more.texts[30:] == [example.messages[0].content for example in more.examples[30:]]
