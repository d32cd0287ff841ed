"""Explanations of every local predictor's answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.predict.cascades import answering

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.explanation import Explanation
from nanosmith.core.limits import MAX_EXPLAINING_RUNS, MAX_EXPLAINING_TOKENS
from nanosmith.predict.explain import explain, log_odds
from nanosmith.predict.open import open_predictor
from nanosmith.testing import FakePredictor, tiny_bundle

LABELS = ("delivery", "login", "refund")
TEXTS = [
    "my refund please",
    "refund",
    "",
    " \n ",
    "?",
    "login or refund, or login?",
    "\ud800 refund",
    "a b c d e f g h i j",
]


def words(found: Explanation, label: int = 0) -> dict[str, float]:
    return {word.text: word.value for word in found.labels[label].words}


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_values_sum_to_what_the_text_brings(predictor: Any, text: str) -> None:
    """For each label: the score is the log-odds of its probability, the empty score that of an empty text, and the
    words' values sum to the difference."""
    found = explain(predictor, text, LABELS)
    [answer], [empty] = predictor.predict([text]), predictor.predict([""])
    assert [label.label for label in found.labels] == list(LABELS)
    for label, p, q in zip(found.labels, answer.probabilities, empty.probabilities, strict=True):
        assert label.score == pytest.approx(math.log(p / (1 - p)), abs=1e-2)  # float32 close to a probability of 1
        assert label.empty_score == pytest.approx(math.log(q / (1 - q)), abs=1e-4)
        assert sum(word.value for word in label.words) == pytest.approx(label.score - label.empty_score, abs=1e-6)


@given(text=st.text(max_size=30))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_explained(predictor: Any, text: str) -> None:
    """Whatever the text: words lie in order in it, stand where they say, and have finite values."""
    found, ends = explain(predictor, text, "refund"), 0
    assert found.text == text
    for word in found.labels[0].words:
        assert ends <= word.start < word.end
        assert found.text[word.start : word.end] == word.text
        assert math.isfinite(word.value)
        ends = word.end


def test_the_word_that_names_the_label_carries_it(predictor: Any) -> None:
    """Of a text with one telling word, that word has the largest value, and it speaks against the other labels."""
    found = explain(predictor, "please, I want my refund now", ("refund", "login"))
    assert max(words(found), key=words(found).__getitem__) == "refund"
    if predictor.task.kind == "choice":
        assert min(words(found, 1), key=words(found, 1).__getitem__) == "refund"


def test_a_word_of_several_tokens_is_one_word(predictor: Any) -> None:
    """Here "don't" is three tokens; it has one value and one place."""
    found = explain(predictor, "I don't see my refund", "refund")
    assert list(words(found)) == ["I", "don't", "see", "my", "refund"]


def test_equal_words_share_equally(predictor: Any) -> None:
    """Two words that do the same have the same value, wherever they stand."""
    found = explain(predictor, "login x login", "login")
    first, _, last = (word.value for word in found.labels[0].words)
    assert first == pytest.approx(last, abs=1e-5)


def test_conversation(predictor: Any) -> None:
    """Of several turns, places count in the text that the model reads: one line per turn, newest first."""
    turns = [Message("user", "hello"), Message("assistant", "yes?"), Message("user", "my refund")]
    found = explain(predictor, turns, "refund")
    assert found.text == "user: my refund\nassistant: yes?\nuser: hello"
    best = max(found.labels[0].words, key=lambda word: word.value)
    assert (best.text, best.start) == ("refund", 9)


def test_long_text_is_cut_and_bounded(predictor: Any) -> None:
    """What is not read is not explained, and said so; many words share values in runs, and the work is bounded."""
    text = "refund " + "word " * 40_000
    found = explain(predictor, text, "refund")
    assert found.truncated
    assert len(found.text.split()) == (62 if answering(predictor, text).special_tokens else 64)
    shown = found.labels[0].words
    assert len(shown) == 32
    assert (shown[0].start, shown[-1].end) == (0, len(found.text))
    assert max(shown, key=lambda word: word.value).text.startswith("refund")
    assert found.runs <= MAX_EXPLAINING_RUNS + 2
    assert found.tokens <= MAX_EXPLAINING_TOKENS


def test_the_same_each_time(predictor: Any) -> None:
    """Coalitions are drawn, but always the same ones."""
    text = "one two three four five six seven eight nine refund"
    assert explain(predictor, text, "refund") == explain(predictor, text, "refund")


def test_no_label_no_explanation(predictor: Any) -> None:
    """An empty answer, and a label that is none of the model's, have nothing to explain, and ask the model nothing."""
    for value in ((), "none of these"):
        found = explain(predictor, "my refund", value)
        assert (found.text, found.labels, found.runs) == ("my refund", (), 0)


def test_only_local_models(tmp_path: Path) -> None:
    """A predictor that does not run here is refused, with its name."""
    with pytest.raises(InputError, match="fake"):
        explain(FakePredictor(["a", "b"]), "text", "a")


def test_temperature_scales(tmp_path: Path) -> None:
    """Scores are those of calibrated probabilities."""
    predictor = open_predictor(tiny_bundle(tmp_path / "bundle"))
    [answer] = predictor.predict(["login please"])
    [label] = explain(predictor, "login please", "login").labels
    assert 1 / (1 + math.exp(-label.score)) == pytest.approx(answer.confidence, abs=1e-6)


@pytest.mark.parametrize("scores", [[1e4, -1e4, 0.0], [800.0, 799.0], [0.0, 0.0]])
def test_log_odds_of_extreme_scores(scores: list[float]) -> None:
    """Finite where probabilities are 0 or 1 in floats, and the same as a difference where there are two labels."""
    found = [log_odds(np.array(scores), label, "choice") for label in range(len(scores))]
    assert all(math.isfinite(value) for value in found)
    if len(scores) == 2:
        assert found == pytest.approx([scores[0] - scores[1], scores[1] - scores[0]])
