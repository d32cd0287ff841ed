"""Terms and their weights, beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from nanosmith.predict.tfidf import read_words
from nanosmith.recipes.parts.terms import Counts, cheapest, learn, least_frequency

TEXTS = ["the courier lost the parcel", "parcel parcel lost", "refund the parcel", "", "zebra"]
MANY = 10**9


def counted(texts: list[str]) -> Counts:
    return Counts.of([read_words(text, 64) for text in texts])


def test_words_and_pairs_weigh_what_scikit_learn_says() -> None:
    """The vectors of words and pairs are TfidfVectorizer's."""
    terms, vectors = learn(counted(TEXTS), MANY, MANY)
    peer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    wanted = peer.fit_transform(TEXTS).toarray()
    words = terms.vocabulary.words
    pairs = [f"{words[key // len(words)]} {words[key % len(words)]}" for key in terms.pairs]
    columns = [peer.vocabulary_[name] for name in words + pairs]
    assert len(columns) == wanted.shape[1]
    assert np.all(np.diff(terms.pairs) > 0)
    assert vectors[:, : len(columns)].toarray() == pytest.approx(wanted[:, columns], abs=1e-6)


def test_grams_weigh_what_scikit_learn_says() -> None:
    """The vectors of n-grams are those of TfidfVectorizer within word boundaries."""
    terms, vectors = learn(counted(TEXTS), MANY, MANY)
    peer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    wanted = peer.fit_transform(TEXTS).toarray()
    columns = [peer.vocabulary_[gram] for gram in terms.vocabulary.grams]
    assert vectors[:, -len(columns) :].toarray() == pytest.approx(wanted[:, columns], abs=1e-6)


def test_the_table_is_bounded() -> None:
    """With room for few terms those of the most texts are kept, and every pair has its words."""
    terms, vectors = learn(counted(TEXTS), 60, MANY)
    assert 0 < len(terms.idf) == vectors.shape[1] <= 60
    assert "parcel" in terms.vocabulary.words
    assert "zebra" not in terms.vocabulary.words
    assert all(key < len(terms.vocabulary.words) ** 2 for key in terms.pairs)


def test_the_work_is_bounded() -> None:
    """Where vectors would have too many values, n-grams are left out, and words and pairs stay."""
    whole, vectors = learn(counted(TEXTS), MANY, MANY)
    fewer, thinned = learn(counted(TEXTS), MANY, vectors.nnz - 5)
    assert fewer.vocabulary.words == whole.vocabulary.words
    assert np.array_equal(fewer.pairs, whole.pairs)
    assert 0 < len(fewer.vocabulary.grams) < len(whole.vocabulary.grams)
    assert thinned.nnz <= vectors.nnz - 5


@pytest.mark.parametrize(("most", "wanted"), [(9, 1), (4, 1), (3, 2), (1, 4), (0, 5)])
def test_least_frequency(most: int, wanted: int) -> None:
    """At most so many of the frequencies reach it."""
    assert least_frequency(np.array([1, 4, 2, 2]), most, 1) == wanted if most != 1 else 4


@pytest.mark.parametrize(("most_values", "wanted"), [(-1, []), (0, []), (3, [0, 2]), (7, [0, 2]), (8, [0, 1, 2])])
def test_cheapest(most_values: int, wanted: list[int]) -> None:
    """The least frequent columns come first, as far as they fit."""
    assert cheapest(np.array([0, 1, 2]), np.array([1, 5, 2]), most_values).tolist() == wanted


def test_texts_without_words() -> None:
    """Nothing but spaces gives no terms, and vectors without values."""
    terms, vectors = learn(counted(["", "  "]), MANY, MANY)
    assert (len(terms.idf), vectors.shape) == (0, (2, 0))
