"""What every local predictor keeps; each test runs over all of them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.predict.cascades import answering

from nanosmith.core.example import Message
from nanosmith.core.prediction import Predictor

TEXTS = ["refund please", "login fails", "", "where is the delivery", "nothing of that", "refund login"]
ODD = [
    "",
    " ",
    "\n\t",
    "\0",
    "\u200d",
    "👩‍👩‍👧‍👦 refund",
    "e\u0301",
    "\u202erefund",
    "\ufffd",
    "a" * 5000,
    "refund " * 500,
    "\ud800 refund",
]


def test_is_a_predictor(predictor: Any) -> None:
    """Name, task and predict are there."""
    assert isinstance(predictor, Predictor)
    assert predictor.task.labels == ("delivery", "login", "refund")


def test_order_is_kept(predictor: Any) -> None:
    """One answer per input, in the order of the inputs."""
    wanted = ["refund", "login", "delivery", "refund", "login"]
    values = [answer.value for answer in predictor.predict(wanted)]
    assert values == (wanted if predictor.task.kind == "choice" else [(label,) for label in wanted])


def test_no_inputs_no_answers(predictor: Any) -> None:
    """An empty list gives an empty list."""
    assert predictor.predict([]) == []


def test_answers_do_not_depend_on_neighbours(predictor: Any) -> None:
    """Alone, among others, streamed or asked again: exactly the same answer."""
    together = predictor.predict(TEXTS)
    assert together == [predictor.predict([text])[0] for text in TEXTS]
    assert together == list(predictor.stream(TEXTS))
    assert together[::-1] == predictor.predict(TEXTS[::-1])


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_texts_are_answered(predictor: Any, text: str) -> None:
    """Empty, invisible, combined, cut-off or endless characters give an answer like any other."""
    [answer] = predictor.predict([text])
    check(predictor, answer)
    if "refund" in text.split():
        assert answer.top(1)[0][0] == "refund"


@given(text=st.text(max_size=60))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_answered(predictor: Any, text: str) -> None:
    """Whatever the text, probabilities are in order and the value is one of the task's."""
    check(predictor, predictor.predict([text])[0])


def check(predictor: Any, answer: Any) -> None:
    assert answer.labels == predictor.task.labels
    assert all(0 <= p <= 1 for p in answer.probabilities)
    assert 0 <= answer.confidence <= 1
    assert answer.by == predictor.name
    if predictor.task.kind == "choice":
        assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
        assert answer.confidence == pytest.approx(max(answer.probabilities))
        assert answer.top(1)[0][0] == answer.value
    else:
        assert set(answer.value) <= set(predictor.task.labels)
    assert predictor.task.parse(predictor.task.render(answer.value)) == answer.value


def test_huge_text_is_cut_at_once(predictor: Any) -> None:
    """200,000 characters: answered from the beginning, within half a second, and the rest is counted as dropped."""
    text = "refund " + "word " * 40_000
    predictor.predict(["warm up"])
    began = time.perf_counter()
    [answer] = predictor.predict([text])
    assert time.perf_counter() - began < 0.5
    assert answer.tokens == 64
    assert answer.dropped_tokens > 10_000
    assert answer.top(1)[0][0] == "refund"


def test_one_endless_word(predictor: Any) -> None:
    """200,000 characters without a space are no slower."""
    began = time.perf_counter()
    [answer] = predictor.predict(["x" * 200_000])
    assert time.perf_counter() - began < 0.5
    assert answer.dropped_tokens > 10_000


def test_text_that_fits_is_not_cut(predictor: Any) -> None:
    """Exactly as many tokens as can be read: nothing is dropped; one more: one is."""
    extra = 2 if answering(predictor, "word").special_tokens else 0
    fits, over = predictor.predict([" ".join(["word"] * (64 - extra)), " ".join(["word"] * (65 - extra))])
    assert (fits.tokens, fits.dropped_tokens) == (64, 0)
    assert (over.tokens, over.dropped_tokens) == (64, 1)


def test_conversation_is_read_newest_first(predictor: Any) -> None:
    """When a conversation is too long, its last turn still counts."""
    turns = [Message("user", "hello " * 200), Message("assistant", "yes"), Message("user", "refund")]
    [answer] = predictor.predict([turns])
    assert answer.dropped_tokens > 0
    assert answer.top(1)[0][0] == "refund"
