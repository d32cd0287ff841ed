"""Tasks: answers to values and back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.task import Task

LABELS = st.text(min_size=1, max_size=20).map(str.strip).filter(bool)
SETS = st.sets(LABELS, max_size=4).map(lambda labels: tuple(sorted(labels)))
ONE = [Task("choice"), Task("choice", form="json_field", field="intent"), Task("choice", form="json_list")]
SEVERAL = [Task("labels", form="json_field", field="tags"), Task("labels", form="json_list")]
SEPARATORS = [",", ", ", ";", " | ", "\n", "||"]


@given(label=LABELS, task=st.sampled_from(ONE))
def test_one_label_round_trip(label: str, task: Task) -> None:
    """Whatever the label's characters, what is rendered is parsed back."""
    assert task.parse(task.render(label)) == label


@given(labels=SETS, task=st.sampled_from(SEVERAL))
def test_several_labels_round_trip(labels: tuple[str, ...], task: Task) -> None:
    """A set of labels, the empty one too, comes back sorted."""
    assert task.parse(task.render(labels)) == labels


@given(labels=SETS, separator=st.sampled_from(SEPARATORS))
def test_separated_labels_round_trip(labels: tuple[str, ...], separator: str) -> None:
    """Labels without the separator's characters survive being joined by it."""
    kept = tuple(label for label in labels if not set(label) & set(separator.strip(" ")))
    task = Task("labels", form="separated", separator=separator)
    assert task.parse(task.render(kept)) == kept


@given(
    answer=st.one_of(st.text(max_size=30), st.just("[" * 100_000), st.just('{"tags": [["a"]]}')),
    task=st.sampled_from([*ONE, *SEVERAL, Task("choice", form="separated"), Task("labels", form="separated")]),
)
def test_any_answer_is_parsed_or_refused(answer: str, task: Task) -> None:
    """No answer raises anything but InputError."""
    with contextlib.suppress(InputError):
        assert isinstance(task.parse(answer), str if task.kind == "choice" else tuple)


def test_refusal_of_a_huge_answer_is_short() -> None:
    """The message shows the beginning of the answer alone."""
    with pytest.raises(InputError) as caught:
        ONE[1].parse("x" * 100_000)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("task", "answer", "value"),
    [
        (Task("choice"), "  refund\n", "refund"),
        (ONE[1], '{"intent": "refund", "other": 1}', "refund"),
        (ONE[1], '{"intent": ["refund"]}', "refund"),
        (SEVERAL[1], '["b", "a", "b", " a "]', ("a", "b")),
        (SEVERAL[1], "[]", ()),
        (Task("labels", form="separated"), "b,, a ,b", ("a", "b")),
    ],
)
def test_what_answers_stand_for(task: Task, answer: str, value: Any) -> None:
    """Spaces, order and repetition do not matter."""
    assert task.parse(answer) == value


@pytest.mark.parametrize(
    "answer", ['{"intent": 1}', '{"intent": ["a", "b"]}', '{"intent": []}', "{}", "refund", "null"]
)
def test_answers_that_do_not_fit(answer: str) -> None:
    """The message shows the answer and the form that was wanted."""
    with pytest.raises(InputError, match="json_field"):
        ONE[1].parse(answer)


def test_single_user_turn_is_its_text() -> None:
    """A plain text and one user turn are the same input, whatever they contain."""
    assert (
        Task("choice").text_of("user: x\ny") == Task("choice").text_of([Message("user", "user: x\ny")]) == "user: x\ny"
    )


def test_newest_turn_comes_first() -> None:
    """Truncation at the end drops the oldest turns; a varying system prompt stands last, a constant one nowhere."""
    turns = [
        Message("system", "be brief"),
        Message("user", "hi"),
        Message("assistant", "hello"),
        Message("user", "bye"),
    ]
    spoken = "user: bye\nassistant: hello\nuser: hi"
    assert Task("choice").text_of(turns) == f"{spoken}\nsystem: be brief"
    assert Task("choice", system="be brief").text_of(turns) == spoken
    assert Task("choice", system="x").text_of([Message("developer", "x"), Message("user", "hi")]) == "hi"


@pytest.mark.parametrize(
    "turns",
    [
        [("user", "at 8")],
        [("user", "book"), ("assistant", "time?"), ("user", "at 8")],
        [("user", "at 8"), ("assistant", "for how many?")],
        [("system", "Be brief."), ("user", "at 8")],
    ],
)
def test_where_the_last_user_turn_begins(turns: list[tuple[str, str]]) -> None:
    """Its content stands at this place of the text that is read."""
    messages = [Message(role, content) for role, content in turns]
    task = Task("record")
    start = task.turn_start(messages)
    assert task.text_of(messages)[start : start + 4] == "at 8"
