"""Examples of "none of these" are taken out."""

from __future__ import annotations

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.task import Task
from nanosmith.data.load import load
from nanosmith.data.scope import apart, nothing_outside
from nanosmith.testing.tiny import topic_rows, write_chat

ROWS = [*topic_rows(12), ("what is love", "oos"), ("sing me a song", "oos")]


def test_label_is_none_of_those_that_compete(tmp_path):
    """The examples in scope have a task without it; the others are kept apart, in order."""
    inside, outside = apart(load(write_chat(tmp_path / "d.jsonl", ROWS)), "oos")
    assert inside.task.labels == ("delivery", "login", "refund")
    assert len(inside) == 12
    assert outside.texts == ["what is love", "sing me a song"]


def test_all_are_in_scope_without_a_label(tmp_path):
    """The very Dataset comes back, with nothing beside it."""
    data = load(write_chat(tmp_path / "d.jsonl", ROWS))
    inside, outside = apart(data, None)
    assert inside is data
    assert not len(outside)


def test_data_without_such_examples_is_left_whole(tmp_path):
    """A label that no example has takes nothing away."""
    inside, outside = apart(load(write_chat(tmp_path / "d.jsonl", topic_rows(12))), "oos")
    assert (len(inside), len(outside)) == (12, 0)


@pytest.mark.parametrize("label", ["oos", "refund"])
def test_too_little_in_scope_is_refused(tmp_path, label):
    """One label is left, or no example at all."""
    rows = [(f"text {i}", label) for i in range(12)]
    task = Task("choice", tuple(sorted({label, "oos"})))
    data = load(write_chat(tmp_path / "d.jsonl", rows), task=task)
    with pytest.raises(InputError, match="two labels and more"):
        apart(data, "oos")


def test_no_examples(tmp_path):
    """Of no examples, as where too few are left to hold one out, nothing is refused."""
    nothing = load(write_chat(tmp_path / "d.jsonl", ROWS)).subset([])
    inside, outside = apart(nothing, "oos")
    assert (len(inside), len(outside)) == (0, 0)
    assert inside.task.labels == ("delivery", "login", "refund")


def test_sets_of_labels_are_refused(tmp_path):
    """Where answers are sets, the empty one says it."""
    file = tmp_path / "d.jsonl"
    file.write_text("".join(f'{{"text": "text {i}", "labels": ["a", "b"]}}\n' for i in range(12)))
    with pytest.raises(InputError, match="one label each"):
        apart(load(file), "a")


def test_a_label_that_no_example_has(tmp_path):
    """A slip is told with the label that was meant."""
    data = load(write_chat(tmp_path / "rows.jsonl", topic_rows(30)))
    label = data.task.labels[0]
    assert f"Did you mean {label}" in nothing_outside(data, label + "x")
    assert nothing_outside(data, "quite another").endswith("measured of it.")
