"""Near duplicates."""

from __future__ import annotations

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from nanosmith.data.near import SIMILAR, near_pairs

WORDS = ["account", "card", "transfer", "refund", "payment", "limit", "please", "could", "status", "broken", "cheque"]


def sentences(n: int, seed: int) -> list[str]:
    """Random word strings; each ends in a number of its own."""
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=9)) + f" {generator.getrandbits(60):x}" for _ in range(n)]


def similarity(first: str, second: str) -> float:
    a, b = ({text.ljust(4)[i : i + 4] for i in range(max(1, len(text) - 3))} for text in (first, second))
    return len(a & b) / len(a | b)


def test_typos_are_found() -> None:
    """Of 200 texts with one changed character at least 97 % are found beside their originals, and nothing else."""
    texts = sentences(1_000, 0)
    changed = [text[:-1] + "%" for text in texts[:200]]
    pairs = dict(near_pairs(texts + changed))
    assert sum(pairs.get(1_000 + i) == i for i in range(200)) >= 194
    assert all(i >= 1_000 for i in pairs)


def test_pairs_are_similar() -> None:
    """What is reported reaches the similarity, exactly computed."""
    generator = random.Random(1)
    texts = [" ".join(generator.choices(WORDS[:5], k=8)) for _ in range(500)]
    pairs = near_pairs(texts)
    assert pairs
    assert all(j < i and similarity(texts[i], texts[j]) >= SIMILAR for i, j in pairs)


def test_against_another_set() -> None:
    """With a second set, positions are those of that set."""
    others = sentences(300, 2)
    texts = ["something quite different", others[250] + "%", *sentences(20, 3)]
    assert near_pairs(texts, others) == [(1, 250)]
    assert near_pairs(texts, []) == []
    assert near_pairs([], others) == []


def test_alike_texts_cost_linear_time() -> None:
    """20,000 texts that are all nearly the same are finished in seconds: pairs are not enumerated."""
    texts = [f"please refund the payment of my order number {i:05d} as soon as possible" for i in range(20_000)]
    began = time.monotonic()
    assert len(near_pairs(texts)) > 19_000
    assert time.monotonic() - began < 30


@given(st.lists(st.text(max_size=6), max_size=8))
def test_any_texts(texts: list[str]) -> None:
    """Empty, short and equal texts are fine; an equal earlier text is always found."""
    pairs = dict(near_pairs(texts))
    for i, text in enumerate(texts):
        assert i in pairs or text not in texts[:i]
