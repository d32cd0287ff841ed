"""Words by their places, and the tokens that belong to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.predict.words import Span, grouped, owners, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where's my card?!", ["Where's", "my", "card", "?!"]),
        ("it’s  ‘so’…", ["it’s", "‘", "so", "’…"]),
        ("e-mail a@b.c", ["e", "-", "mail", "a", "@", "b", ".", "c"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("我的card呢", ["我", "的", "card", "呢"]),
        ("naïve\u0301 ok\n\tso", ["naïve\u0301", "ok", "so"]),
        (" \n", []),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    """What stands between spaces, punctuation apart; apostrophes and accents join, ideographs stand alone."""
    assert [text[start:end] for start, end in words_of(text)] == words


@given(st.text(max_size=80))
def test_words_cover_the_text(text: str) -> None:
    """Words come in order, do not overlap, and leave nothing but white space between them."""
    ends = 0
    for start, end in words_of(text):
        assert ends <= start < end
        assert text[ends:start].strip() == ""
        ends = end
    assert text[ends:].strip() == ""


def test_tokens_belong_to_words() -> None:
    """Several tokens make a word, one token may reach over two, special ones belong to none."""
    words = [Span(0, 7), Span(8, 10), Span(10, 11)]
    tokens = [None, Span(0, 3), Span(3, 7), Span(7, 10), Span(10, 11), None]
    assert owners(words, tokens) == [None, 0, 0, 1, 2, None]


def test_a_token_between_words_belongs_to_the_one_before() -> None:
    """A token that is only a space goes with the word before it, at the start of the text with the first."""
    words = [Span(1, 3), Span(6, 8)]
    tokens = [Span(0, 1), Span(1, 3), Span(3, 5), Span(6, 8), Span(8, 9)]
    assert owners(words, tokens) == [0, 0, 0, 1, 1]


def test_few_words_stay_single() -> None:
    """Grouping changes nothing where there are not too many."""
    words = words_of("a b c")
    assert grouped(words, 3) == words
    assert grouped([], 3) == []


@given(st.integers(1, 60), st.integers(1, 12))
def test_groups(count: int, most: int) -> None:
    """Too many words become runs of neighbours whose sizes differ by one at most, and which lose none."""
    words = words_of("w " * count)
    groups = grouped(words, most)
    sizes = [(end - start) // 2 + 1 for start, end in groups]
    assert len(groups) == min(count, most)
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
