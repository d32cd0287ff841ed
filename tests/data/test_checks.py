"""Checks over all examples."""

from __future__ import annotations

import pytest

from nanosmith.core import limits
from nanosmith.core.example import Example, Message
from nanosmith.core.task import Task
from nanosmith.data import checks
from nanosmith.data.checks import evaluation_problems, training_problems, unseen_labels
from nanosmith.data.dataset import Dataset
from nanosmith.data.problem import Problem
from nanosmith.testing import topic_rows

GOOD = topic_rows(30)
CHOICE = Task("choice")


def dataset(rows: list[tuple[str, str]], task: Task = CHOICE) -> Dataset:
    numbered = enumerate(rows, start=1)
    return Dataset(tuple(Example((Message("user", text),), answer, line) for line, (text, answer) in numbered), task)


def problems(rows: list[tuple[str, str]], task: Task = CHOICE) -> dict[str, Problem]:
    """Problems by code, near duplicates aside: the short texts of these tests are often alike."""
    found = training_problems(dataset(rows, task))
    return {problem.code: problem for problem in found if problem.code != "near_duplicates"}


def test_good_data() -> None:
    """Clean data has no problem."""
    assert problems(GOOD) == {}


def test_one_label() -> None:
    """A single label is an error; for sets of labels only where it is never absent."""
    assert problems([("x y z", "a"), ("u v w", "a")])["one_label"].level == "error"
    sets = Task("labels", form="json_list")
    assert "one_label" in problems([("x y z", '["a"]'), ("u v w", '["a"]')], sets)
    assert "one_label" in problems([("x y z", "[]"), ("u v w", "[]")], sets)
    assert "one_label" not in problems([("x y z", '["a"]'), ("u v w", "[]")], sets)


def test_many_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """More labels than allowed are an error with both numbers."""
    monkeypatch.setattr(checks, "MAX_LABELS", 2)
    problem = problems(GOOD)["many_labels"]
    assert problem.level == "error"
    assert "got 3; allowed 2" in problem.message


def test_label_seen_once() -> None:
    """A label that occurs once is a warning with its line."""
    problem = problems([*GOOD, ("where is the cat", "pets")])["label_once"]
    assert (problem.level, problem.line, problem.count) == ("warning", 31, 1)
    assert problem.examples == ('line 31: "pets"',)


def test_label_spelling() -> None:
    """Labels that differ in case or spacing are warned about, with counts."""
    rows = [
        *GOOD,
        ("where is the cat", "Refund"),
        ("where is the dog", "Refund"),
        ("a bird", "re fund"),
        ("b bird", "re fund"),
    ]
    problem = problems(rows)["label_spelling"]
    assert problem.count == 1
    assert problem.examples == ('"refund" (10) / "Refund" (2)',)


def test_imbalance() -> None:
    """Twenty times as many examples of one label as of another are worth a note."""
    rows = [(f"{i}", "a") for i in range(40)] + [("x", "b"), ("y", "b")]
    assert '"a" has 40 examples, "b" has 2' in problems(rows)["imbalance"].message
    assert "imbalance" not in problems(rows[1:])


def test_long_text() -> None:
    """A text of 200,000 characters is a warning that says how much is read."""
    problem = problems([*GOOD, ("x" * 200_000, "refund")])["long_text"]
    assert (problem.level, problem.line) == ("warning", 31)
    assert f"first {limits.MAX_ENCODER_TOKENS} tokens" in problem.message
    assert problem.examples == ("line 31: 200,000 characters",)


def test_repeated_texts() -> None:
    """The same text with the same answer is a duplicate, with another one a conflict."""
    rows = [*GOOD, ("Hello?", "login"), ("hello", "login"), ("HELLO!", "refund"), ("hello.", "refund")]
    found = problems(rows)
    assert found["duplicates"].count == 2
    assert found["duplicates"].examples[0] == 'line 32: "hello"'
    assert found["conflicting_labels"].count == 1
    assert found["conflicting_labels"].examples == ('"Hello?": login (line 31) / refund (line 33)',)


def test_near_duplicates() -> None:
    """Texts that are nearly the same are counted; pairs with different answers come first."""
    rows = [
        ("please tell me how much money is left on my account", "balance"),
        ("please tell me how much money is left on my accounts", "balance"),
        ("i would like to open a new savings account today", "open"),
        ("i would like to open a new savings account todays", "close"),
    ]
    (problem,) = [problem for problem in training_problems(dataset(rows)) if problem.code == "near_duplicates"]
    assert problem.count == 2
    assert problem.examples[0].startswith("lines 3 and 4: ")
    assert "with another answer: 1" in problem.message


def test_at_most_three_examples() -> None:
    """A warning shows three of its examples, and counts all."""
    problem = problems([*GOOD, *((f"x{i} y z", f"once{i}") for i in range(9))])["label_once"]
    assert (problem.count, len(problem.examples)) == (9, 3)


def test_unseen_labels() -> None:
    """Labels that the model cannot answer are warned about by name."""
    (problem,) = unseen_labels(dataset([("a", "x"), ("b", "y"), ("c", "z")]), ("x",))
    assert (problem.code, problem.line, problem.count) == ("unseen_label", 2, 2)
    assert '"y", "z"' in problem.message
    assert unseen_labels(dataset([("a", "x")]), ("x",)) == []


def test_another_system_prompt() -> None:
    """A test set whose system prompt is not the one of the training data is warned about; none at all is fine."""
    task = Task("choice", ("a",), system="one")
    turns = {prompt: (Message("system", prompt), Message("user", prompt)) for prompt in ("one", "two")}
    data = Dataset(
        (Example(turns["one"], "a", 1), Example(turns["two"], "a", 2), Example((Message("user", "x"),), "a", 3)), task
    )
    assert [(p.code, p.line, p.count) for p in evaluation_problems(data)] == [("other_system_prompt", 2, 1)]
