"""Typos of the tests."""

from __future__ import annotations

from random import Random

import pytest
from bench.accuracy.typos import one_typo, typos_in

TEXT = "please tell me why my transfer has not arrived at the receiving account yet"


def changed(text: str) -> int:
    return sum(a != b for a, b in zip(TEXT.split(" "), text.split(" "), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_one_typo(seed: int) -> None:
    """Just one word changes."""
    assert changed(one_typo(TEXT, Random(seed))) == 1


@pytest.mark.parametrize("seed", range(20))
def test_typos_in_a_share_of_the_words(seed: int) -> None:
    """A fifth of 14 words is three."""
    assert changed(typos_in(TEXT, 0.2, Random(seed))) == 3


def test_text_without_words_stays() -> None:
    """Without a word of three letters there is nothing to misspell."""
    assert one_typo("a 12 ?", Random(0)) == "a 12 ?"
