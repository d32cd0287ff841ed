"""What a large model wrote, as a value and as probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.record import RecordForm
from nanosmith.core.task import Task
from nanosmith.predict.endpoint.reading import WrongAnswer, probabilities_of, value_of
from nanosmith.testing.provider.answers import Answer, logprobs

CHOICE = Task("choice", ("card", "card_arrival", "lost_or_stolen_card", "refund"))
LABELS = Task("labels", ("a", "b", "c d"), "json_list")
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
RECORD = Task("record", record=RecordForm(schema=SCHEMA))


@pytest.mark.parametrize(
    "text", ["refund", " Refund.", '"refund"', "`REFUND`", "Label: refund", "**refund**", "```\nrefund\n```"]
)
def test_label_is_read_as_people_write_it(text: str) -> None:
    """Case, quotes, a full stop and a heading do not matter."""
    assert value_of(CHOICE, text) == "refund"


def test_words_of_a_label_may_be_separated_otherwise() -> None:
    """Spaces and underscores are the same, and a label within a longer one is not taken for it."""
    assert value_of(CHOICE, "card arrival") == "card_arrival"
    assert value_of(CHOICE, "Card") == "card"


def test_label_in_the_form_of_the_examples() -> None:
    """Where answers are JSON objects with one field, such an object is read too."""
    task = Task("choice", ("a", "b"), "json_field", "intent")
    assert value_of(task, '{"intent": "b"}') == "b"
    assert value_of(task, "a") == "a"


@pytest.mark.parametrize("text", ["", "money", "refund or card", "I think it is a refund", '{"intent": "refund"}'])
def test_wrong_labels(text: str) -> None:
    """What is none of the labels is not guessed at."""
    with pytest.raises(WrongAnswer):
        value_of(CHOICE, text)


def test_labels() -> None:
    """A JSON list, in a fence or not, or labels separated by commas; [] is none of them."""
    assert value_of(LABELS, '["b", "a"]') == ("a", "b")
    assert value_of(LABELS, '```json\n["C D"]\n```') == ("c d",)
    assert value_of(LABELS, "a, b") == ("a", "b")
    assert value_of(LABELS, "[]") == ()
    with pytest.raises(WrongAnswer):
        value_of(LABELS, '["a", "z"]')


def test_record_obeys_its_schema() -> None:
    """An object that does not fit is a wrong answer, as is what is no object."""
    assert value_of(RECORD, '{ "n": 3 }') == '{"n":3}'
    for text in ('{"n": "3"}', "[]", "three", "{}", '{"n": 1, "m": 2}'):
        with pytest.raises(WrongAnswer):
            value_of(RECORD, text)


def test_text_is_taken_as_it_is() -> None:
    """Only an empty text is wrong."""
    assert value_of(Task("text"), " Hello. ") == "Hello."
    with pytest.raises(WrongAnswer):
        value_of(Task("text"), "  ")


def test_whole_labels_as_tokens() -> None:
    """As our own server gives them: each label is one token, also where one begins another."""
    shares = {"card": 0.5, "card_arrival": 0.3, "refund": 0.2}
    top = [{"token": label, "logprob": math.log(share)} for label, share in shares.items()]
    found = probabilities_of(("card", "card_arrival", "refund"), {"content": [{**top[0], "top_logprobs": top}]})
    assert found == pytest.approx((0.5, 0.3, 0.2))


@given(st.lists(st.text("abcd_", min_size=1, max_size=12), min_size=2, max_size=8, unique=True))
def test_probabilities_follow_the_written_tokens(labels: list[str]) -> None:
    """Of labels cut into tokens: they sum to 1, and the written label has some."""
    shares = {label: 1.0 + i for i, label in enumerate(labels)}
    total = sum(shares.values())
    shares = {label: share / total for label, share in shares.items()}
    answer = max(labels, key=shares.__getitem__)
    found = probabilities_of(labels, logprobs(Answer(answer, shares), 20))
    assert found is not None
    assert sum(found) == pytest.approx(1)
    assert found[labels.index(answer)] > 0


def test_probabilities_of_a_tree_are_exact_where_tokens_tell() -> None:
    """Labels that part at their first token get exactly their shares."""
    shares = {"lost_card": 0.6, "refund_now": 0.3, "card": 0.1}
    found = probabilities_of(tuple(shares), logprobs(Answer("lost_card", shares), 20))
    assert found == pytest.approx(tuple(shares.values()))


@pytest.mark.parametrize(
    "given", [None, {}, {"content": None}, {"content": [{"token": "x"}]}, {"content": "x"}, {"content": [3]}]
)
def test_no_probabilities(given: object) -> None:
    """Where there are none, or in another form, nothing is made up."""
    assert probabilities_of(("a", "b"), given) is None


def test_too_little_is_told() -> None:
    """Where the tokens beside labels have most of the probability, there are no probabilities of labels."""
    content = [{"token": "a", "logprob": math.log(0.2), "top_logprobs": [{"token": "The", "logprob": math.log(0.8)}]}]
    assert probabilities_of(("a", "b"), {"content": content}) is None
