"""The metrics against values that were worked out by hand or come from the papers' formulas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.score.graders.similarity import METRICS, Metric, cosine, similarity

CAT, MAT = "the cat sat on the mat", "the cat is on the mat"
TEXTS = st.text(alphabet="ab Ä.,42\n", max_size=40)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("rouge_1", 5 / 6),
        ("rouge_2", 3 / 5),
        ("rouge_3", 1 / 4),
        ("rouge_4", 0),
        ("rouge_l", 5 / 6),
        ("gleu", 9 / 18),
        # precisions 5/6, 3/5, 1/4, and 1/2 of 1/3 for the four-gram that is not there
        ("bleu", (5 / 6 * 3 / 5 * 1 / 4 * 1 / 2 * 1 / 3) ** (1 / 4)),
        # P = R = 5/6; two chunks of five matches
        ("meteor", 5 / 6 * (1 - 0.5 * (2 / 5) ** 3)),
    ],
)
def test_worked_values(metric: Metric, value: float) -> None:
    """Each metric has the value of its formula for two sentences that differ in one word."""
    assert similarity(metric, CAT, MAT) == pytest.approx(value)


def test_rouge_l_keeps_the_order() -> None:
    """The longest common subsequence of a b c d and a c b d has three words."""
    assert similarity("rouge_l", "a b c d", "a c b d") == pytest.approx(3 / 4)


def test_rouge_reads_every_script() -> None:
    """Words with letters outside ASCII count as words, in any case and without punctuation."""
    assert similarity("rouge_1", "Größe: ändern!", "größe ändern") == 1
    assert similarity("rouge_1", "Größe", "gr e") == 0


def test_meteor_matches_stems_but_not_synonyms() -> None:
    """Another form of a word counts as a match, another word of the same meaning does not."""
    assert similarity("meteor", "runs", "running") == similarity("meteor", "runs", "runs") == pytest.approx(0.5)
    assert similarity("meteor", "car", "automobile") == 0


def test_fuzzy_match_forgives_typing() -> None:
    """Case and punctuation do not count; a wrong letter costs little, another word much."""
    assert similarity("fuzzy_match", "John Doe", "john doe.") == 1
    assert 0.8 < similarity("fuzzy_match", "Jon Doe", "John Doe") < 1
    assert similarity("fuzzy_match", "Mary", "John Doe") < 0.5
    assert similarity("fuzzy_match", "👍", "👍") == 1


def test_bleu_of_short_texts() -> None:
    """A text of one word is compared by that word alone, instead of scoring 0 for having no four words in a row."""
    assert similarity("bleu", "refund", "refund") == 1
    assert similarity("bleu", "", "refund") == 0


@given(st.sampled_from(list(METRICS)), TEXTS, TEXTS)
def test_metrics_stay_in_range(metric: Metric, one: str, other: str) -> None:
    """For any two texts, empty ones too, the value is from 0 to 1."""
    assert 0 <= similarity(metric, one, other) <= 1


@given(
    st.sampled_from(["fuzzy_match", "bleu", "gleu", "rouge_1", "rouge_l"]), st.lists(st.sampled_from("abc"), min_size=1)
)
def test_equal_texts_are_as_near_as_can_be(metric: Metric, words: list[str]) -> None:
    """A text of at least one word has similarity 1 to itself."""
    text = " ".join(words)
    assert similarity(metric, text, text) == pytest.approx(1)


def test_cosine() -> None:
    """Embeddings of one direction have 1, those at right angles or against each other 0, and so has nothing."""
    assert cosine([1, 2], [2, 4]) == pytest.approx(1)
    assert cosine([1, 0], [1, 1]) == pytest.approx(math.sqrt(0.5))
    assert cosine([1, 0], [0, 1]) == cosine([1, 0], [-1, 0]) == cosine([0, 0], [1, 0]) == 0
