"""Which inputs are worth asking about."""

from __future__ import annotations

from nanosmith.core.example import Message
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.flows.labelling.hardest import hardest


class Student:
    """Is as sure as the number at the end of a text says; its class is the first word."""

    name = "student"
    task = Task("choice", ("a", "b"))

    def predict(self, inputs: list[tuple[Message, ...]]) -> list[Prediction]:  # type: ignore[override]
        found = []
        for turns in inputs:
            label, share = turns[-1].content.split()[0], float(turns[-1].content.split()[-1])
            other = "b" if label == "a" else "a"
            found.append(Prediction(label, share, (label, other), (share, 1 - share), "student"))
        return found


def turns(*texts: str) -> list[tuple[Message, ...]]:
    return [(Message("user", text),) for text in texts]


def test_least_sure_first_spread_over_classes() -> None:
    """Each class gives its hardest before any gives its second; positions come in the order of the file."""
    texts = turns("a 0.9", "a 0.55", "a 0.6", "a 0.65", "b 0.99", "b 0.8")
    assert hardest(Student(), texts, 2, Watch()) == [1, 5]
    assert hardest(Student(), texts, 4, Watch()) == [1, 2, 4, 5]
    assert hardest(Student(), texts, 99, Watch()) == [0, 1, 2, 3, 4, 5]


def test_equal_texts_count_once() -> None:
    """A text that differs in case or punctuation alone is not asked about twice; the first is kept."""
    assert hardest(Student(), turns("a x 0.6", "a x! 0.6", "a y 0.7"), 9, Watch()) == [0, 2]
