"""What a test set shares with its training set."""

from __future__ import annotations

from nanosmith.core.example import Example, Message
from nanosmith.core.task import Task
from nanosmith.data.dataset import Dataset
from nanosmith.data.overlap import overlap


def dataset(*rows: tuple[str, str]) -> Dataset:
    examples = tuple(Example((Message("user", text),), label, line) for line, (text, label) in enumerate(rows, 1))
    return Dataset(examples, Task("choice", tuple(sorted({label for _, label in rows}))))


TRAIN = dataset(
    ("where is my new debit card please", "card"), ("I want my money back", "refund"), ("sign me in", "login")
)


def test_shared_texts() -> None:
    """Same and nearly same texts are counted apart, with the lines of both files and both answers."""
    test = dataset(
        ("something else", "card"), ("i want my money BACK!", "card"), ("where is my new debit card pleas", "card")
    )
    same, near = overlap(TRAIN, test)
    assert (same.code, same.level, same.count, same.line) == ("shared_text", "warning", 1, 2)
    assert "1 of 3, with another answer: 1" in same.message
    assert same.examples == (
        'test line 2: "i want my money BACK!" (card), training line 2: "I want my money back" (refund)',
    )
    assert (near.code, near.count, near.line) == ("near_shared_text", 1, 3)
    assert "with another answer: 0" in near.message


def test_unseen_labels() -> None:
    """Labels that only the test set has are warned about."""
    (problem,) = overlap(TRAIN, dataset(("something else", "card"), ("another thing", "pets")))
    assert (problem.code, problem.line) == ("unseen_label", 2)


def test_nothing_shared() -> None:
    """Sets without common texts and with the same labels have no problem."""
    assert overlap(TRAIN, dataset(("something else", "card"))) == ()
