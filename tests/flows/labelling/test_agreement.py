"""One answer of several."""

from __future__ import annotations

from nanosmith.core.task import Task
from nanosmith.flows.labelling.agreement import agreed
from nanosmith.flows.labelling.journal import Entry

CHOICE, LABELS, RECORD, TEXT = Task("choice", ("a", "b")), Task("labels", ("a", "b")), Task("record"), Task("text")


def entries(*values: str | tuple[str, ...]) -> list[Entry]:
    return [Entry("k", value) for value in values]


def test_one_answer_is_taken_as_it_is() -> None:
    """With its probabilities, or without."""
    assert agreed(CHOICE, [Entry("k", "a", {"a": 0.6, "b": 0.4})]).probabilities == {"a": 0.6, "b": 0.4}
    assert agreed(TEXT, entries("Hello.")).value == "Hello."


def test_choices_take_the_mean() -> None:
    """The label with the highest mean probability; who gives none is sure of its label."""
    found = agreed(CHOICE, [Entry("k", "a", {"a": 0.6, "b": 0.4}), Entry("k", "b")])
    assert (found.value, found.probabilities) == ("b", {"a": 0.3, "b": 0.7})


def test_sets_take_the_majority() -> None:
    """Each label that most answers have; the probabilities are means."""
    found = agreed(LABELS, entries(("a",), ("a", "b"), ()))
    assert (found.value, found.probabilities) == (("a",), {"a": 0.66667, "b": 0.33333})


def test_records_need_a_majority() -> None:
    """Equal objects count together whatever the order of their keys; without a majority there is no answer."""
    assert agreed(RECORD, entries('{"n":1,"m":2}', '{"m":2,"n":1}', '{"n":3}')).value == '{"n":1,"m":2}'
    assert agreed(RECORD, entries('{"n":1}', '{"n":2}')).value is None


def test_texts_take_the_one_nearest_to_all() -> None:
    """The most typical text; where all differ, none."""
    near = entries("your card is on its way", "the card is on its way", "the card is on its way now")
    assert agreed(TEXT, near).value == "the card is on its way"
    assert agreed(TEXT, entries("one two", "three four")).value is None
