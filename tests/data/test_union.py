"""Old and new examples as one."""

from __future__ import annotations

from collections import Counter

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.example import Example, Message
from nanosmith.core.task import Task
from nanosmith.data.dataset import Dataset
from nanosmith.data.union import fitted, is_old, joined, replayed, uncorrected, united

OLD = Task("choice", ("login", "refund"))


def data(*rows: tuple[str, str], task: Task = OLD, system: str | None = None) -> Dataset:
    prompt = (Message("system", system),) if system else ()
    examples = (Example((*prompt, Message("user", text)), answer, i) for i, (text, answer) in enumerate(rows, start=1))
    return Dataset(tuple(examples), task)


def test_labels_of_both() -> None:
    """The united task has all labels, sorted, in the old form."""
    assert united(OLD, data(("where is it", "delivery"), ("money", "refund"))).labels == ("delivery", "login", "refund")


def test_new_prompt_does_not_tell_old_from_new() -> None:
    """A system prompt that only the new examples have is left out of the input; one that differs among old ones too is
    kept in it."""
    new = data(("where is it", "delivery"), system="Which?")
    assert united(OLD, new, data(("a", "login")).examples).system == "Which?"
    assert united(OLD, new, data(("a", "login"), system="Other").examples).system is None


def test_answers_take_the_old_form() -> None:
    """Answers of the new examples are written as the earlier model writes them."""
    old = Task("choice", ("login",), form="json_field", field="intent")
    new = fitted(data(("where is it", "delivery")), old)
    assert new.examples[0].answer == '{"intent": "delivery"}'
    assert new.values == ["delivery"]
    sets = fitted(data(("where is it", "delivery")), Task("labels", ("login",), form="json_list"))
    assert sets.values == [("delivery",)]


def test_sets_do_not_fit_a_choice() -> None:
    """Sets of labels cannot be learnt by a model that answers with one."""
    new = data(("both", '["login", "refund"]'), task=Task("labels", ("login", "refund"), form="json_list"))
    with pytest.raises(InputError, match="several labels each"):
        fitted(new, OLD)


def test_corrections_win() -> None:
    """An old example is left out where a new one has its text, case and punctuation aside."""
    old = data(("My password", "refund"), ("money back", "refund"))
    assert uncorrected(old, data(("my password!", "login"))).texts == ["money back"]


def test_replay_is_balanced() -> None:
    """So many of each label are chosen, all of a rare one; more data leaves the chosen ones chosen."""
    rows = [(f"text {i}", "login" if i % 10 else "refund") for i in range(60)]
    chosen = replayed(data(*rows), 8, seed=1)
    assert Counter(rows[i][1] for i in chosen) == {"login": 8, "refund": 6}
    assert replayed(data(*rows), 8, seed=1) == chosen
    assert replayed(data(*rows), 8, seed=2) != chosen
    more = [*rows, *((f"more {i}", "other") for i in range(9))]
    assert [i for i in replayed(data(*more), 8, seed=1) if i < 60] == chosen


def test_replay_of_sets() -> None:
    """Of sets, and of the empty set, each label is covered."""
    task = Task("labels", ("a", "b", "c"), form="json_list")
    rows = [(f"text {i}", answer) for i, answer in enumerate(['["a", "b"]', '["c"]', "[]"] * 20)]
    chosen = [rows[i][1] for i in replayed(data(*rows, task=task), 3, seed=0)]
    assert Counter(chosen) == {'["a", "b"]': 3, '["c"]': 3, "[]": 3}


def test_joined_lines_are_apart() -> None:
    """Old and new examples are never taken for one conversation."""
    both = joined(OLD, data(("a", "login"), ("b", "login")), data(("c", "refund")))
    assert [example.line for example in both.examples] == [2, 3, 1]
    assert both.texts == ["a", "b", "c"]


def test_what_is_old() -> None:
    """An answer is old when the earlier model could give it."""
    assert is_old("login", OLD)
    assert not is_old(("login", "delivery"), OLD)
