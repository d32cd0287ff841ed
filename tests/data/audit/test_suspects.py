"""Suspects, and what training does with them."""

from __future__ import annotations

import numpy as np

from nanosmith.core.example import Example, Message
from nanosmith.core.task import Task
from nanosmith.data.audit.confident import Doubts
from nanosmith.data.audit.suspects import Suspect, suspects_of, treat
from nanosmith.data.dataset import Dataset
from nanosmith.data.summary import label_counts

CHOICE = Task("choice", ("a", "b", "c"))
LABELS = Task("labels", ("a", "b", "c"), form="json_list")


def dataset(task: Task, answers: list[str]) -> Dataset:
    examples = [Example((Message("user", f"text {i}"),), answer, i + 1) for i, answer in enumerate(answers)]
    return Dataset(tuple(examples), task)


def test_choices() -> None:
    """What is likely wrong is listed with the better label, most certain first, at its place in the data."""
    data = dataset(CHOICE, ["a", "a", "b", "c", "c"])
    doubts = Doubts(np.array([0.6, 0.1, 0.9, 0.5]), np.array([1, 1, 0, 0]), 3)
    found = suspects_of(data, [0, 1, 2, 4], np.zeros((4, 3)), doubts)
    assert found == [Suspect(2, "a", 0.9), Suspect(0, "b", 0.6), Suspect(4, "a", 0.5)]


def test_sets() -> None:
    """Of a set, wrong members go and missing ones come; an empty set is suggested only where the data has one."""
    doubts = np.array([[0.9, 0.8, 0.0], [0.7, 0.0, 0.0], [0.0, 0.0, 0.0]])
    rows = np.array([[0.1, 0.9, 0.0], [0.3, 0.1, 0.4], [0.0, 0.0, 1.0]])
    data = dataset(LABELS, ['["a"]', '["a"]', '["c"]'])
    found = suspects_of(data, [0, 1, 2], rows, Doubts(doubts, None, 3))
    assert found == [Suspect(0, ("b",), 0.9), Suspect(1, ("c",), 0.7)]
    with_empty = dataset(LABELS, ['["a"]', '["a"]', "[]"])
    assert suspects_of(with_empty, [0, 1, 2], rows, Doubts(doubts, None, 3))[1] == Suspect(1, (), 0.7)


def test_drop() -> None:
    """Dropping takes the most certain ones, keeps half of every label's examples, and leaves the order alone."""
    data = dataset(CHOICE, ["a", "a", "a", "a", "b", "b", "c"])
    suspects = [Suspect(i, "c", 0.9 - 0.01 * i) for i in (3, 0, 1, 4, 5, 6)]
    treated = treat(data, suspects, "drop")
    assert treated.changed == 3
    assert [example.line for example in treated.dataset.examples] == [2, 3, 6, 7]
    assert label_counts(treated.dataset) == {"a": 2, "b": 1, "c": 1}


def test_downweight() -> None:
    """Down-weighting scales the weight by the probability that the label is right, and drops nothing."""
    data = dataset(CHOICE, ["a", "a", "b", "b"])
    treated = treat(data, [Suspect(1, "b", 0.75)], "downweight")
    assert [example.weight for example in treated.dataset.examples] == [1, 0.25, 1, 1]
    assert treated.changed == 1


def test_keep() -> None:
    """Keeping changes nothing."""
    data = dataset(CHOICE, ["a", "a", "b", "b"])
    treated = treat(data, [Suspect(1, "b", 0.75)], "keep")
    assert treated.dataset.examples == data.examples
    assert treated.changed == 0


def test_empty_answers_are_a_class() -> None:
    """Examples without any label are not all dropped either."""
    data = dataset(LABELS, ["[]", "[]", '["a"]', '["b"]'])
    treated = treat(data, [Suspect(0, ("a",), 0.9), Suspect(1, ("a",), 0.8)], "drop")
    assert treated.dataset.values == [(), ("a",), ("b",)]
