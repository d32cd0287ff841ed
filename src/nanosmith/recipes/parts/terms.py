"""Which terms (words, pairs of neighbours, n-grams) a TF-IDF model knows, and texts as sparse vectors of them.

The terms of a text are counted word by word: the n-grams of a word are found once, however often it occurs.
What a term is and how it is weighted: predict/tfidf.py. Letters as there, with N texts and V distinct words.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from nanosmith.predict.tfidf import Ints, Vocabulary, grams_of

RARE_BELOW = 5_000  # texts; from there on a term must occur in two of them
WORD_BITS = 31


class Terms(msgspec.Struct, frozen=True):
    """The known terms: `pairs` (P) as first word * W + second, ascending, and `idf` (F) of all."""

    vocabulary: Vocabulary
    pairs: Ints
    idf: NDArray[np.float32]


class Counts(msgspec.Struct, frozen=True):
    """How often each text has each of its words (N, V), pairs and n-grams, with the names of these columns; a pair's is
    first << WORD_BITS | second."""

    words: sparse.csr_matrix
    pairs: sparse.csr_matrix
    grams: sparse.csr_matrix
    word_names: list[str]
    pair_names: Ints
    gram_names: list[str]

    @classmethod
    def of(cls, texts: Sequence[list[str]]) -> Counts:
        """Of texts (N), each as its words."""
        numbers: dict[str, int] = {}
        flat = np.array([numbers.setdefault(word, len(numbers)) for word in chain(*texts)], dtype=np.int64)
        rows = np.repeat(np.arange(len(texts)), [len(words) for words in texts])
        words = tally(rows, flat, (len(texts), len(numbers)))
        together = rows[1:] == rows[:-1]
        names, pairs = np.unique((flat[:-1] << WORD_BITS | flat[1:])[together], return_inverse=True)
        grams: dict[str, int] = {}
        spelled = [[grams.setdefault(gram, len(grams)) for gram in grams_of(word)] for word in numbers]
        owners = np.repeat(np.arange(len(spelled)), [len(found) for found in spelled])
        of_word = tally(owners, np.fromiter(chain(*spelled), dtype=np.int64), (len(numbers), len(grams)))
        return cls(words, tally(rows[1:][together], pairs, (len(texts), len(names))), (words @ of_word).tocsr(),
                   list(numbers), names, list(grams))  # fmt: skip


def learn(counts: Counts, most: int, most_values: int) -> tuple[Terms, sparse.csr_matrix]:
    """The `most` terms that occur in the most texts, and the vectors of the texts (N, F).

    Where these would have over `most_values` values, the n-grams that occur in the most texts, and tell least, are left
    out. A pair occurs in no more texts than its words, so that these are known too.
    """
    frequencies = [in_texts(part) for part in (counts.words, counts.pairs, counts.grams)]
    least = least_frequency(np.concatenate(frequencies), most, 1 if counts.words.shape[0] < RARE_BELOW else 2)
    words, pairs, grams = (np.flatnonzero(found >= least) for found in frequencies)
    spent = int(frequencies[0][words].sum() + frequencies[1][pairs].sum())
    grams = cheapest(grams, frequencies[2], most_values - spent)
    number = np.full(counts.words.shape[1], -1)
    number[words] = np.arange(len(words))
    names = counts.pair_names[pairs]
    keys = number[names >> WORD_BITS] * len(words) + number[names & (1 << WORD_BITS) - 1]
    order = np.argsort(keys)
    chosen = (words, pairs[order], grams)
    idf = [idf_of(found[columns], counts.words.shape[0]) for found, columns in zip(frequencies, chosen)]
    parts = [weighted(part[:, columns], weights)
             for part, columns, weights in zip((counts.words, counts.pairs, counts.grams), chosen, idf)]  # fmt: skip
    vectors = sparse.hstack([at_unit_length(sparse.hstack(parts[:2])), at_unit_length(parts[2])]).tocsr()
    vocabulary = Vocabulary([counts.word_names[i] for i in words], [counts.gram_names[i] for i in grams])
    return Terms(vocabulary, keys[order], np.concatenate(idf)), vectors


def least_frequency(frequencies: Ints, most: int, least: int) -> int:
    """In how many texts a term must occur so that at most `most` terms do; `least` at the least."""
    ranked = np.sort(frequencies)[::-1]
    return least if len(ranked) <= most else max(least, int(ranked[most]) + 1)


def cheapest(columns: Ints, frequencies: Ints, most_values: int) -> Ints:
    """As many of `columns` as have at most so many values together, the least frequent ones; in their order."""
    by_cost = columns[np.argsort(frequencies[columns], kind="stable")]
    fitting = np.searchsorted(np.cumsum(frequencies[by_cost]), most_values, side="right")
    return np.sort(by_cost[:fitting])


def in_texts(counts: sparse.csr_matrix) -> Ints:
    """In how many rows each column is not zero."""
    return np.bincount(counts.indices, minlength=counts.shape[1])


def idf_of(frequencies: Ints, texts: int) -> NDArray[np.float32]:
    """1 + ln((1 + N) / (1 + document frequency)): as if one more text had every term."""
    weights: NDArray[np.float32] = (1 + np.log((1 + texts) / (1 + frequencies))).astype(np.float32)
    return weights


def tally(rows: Ints, columns: Ints, shape: tuple[int, int]) -> sparse.csr_matrix:
    """How often each (row, column) occurs."""
    return sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)


def weighted(counts: sparse.csr_matrix, weights: NDArray[np.float32]) -> sparse.csr_matrix:
    """(1 + ln count) times the weight of the column."""
    counts = counts.tocsr()
    return sparse.csr_matrix(
        ((1 + np.log(counts.data)) * weights[counts.indices], counts.indices, counts.indptr), shape=counts.shape
    )


def at_unit_length(vectors: sparse.csr_matrix) -> sparse.csr_matrix:
    """Each row at length 1; zero stays zero."""
    vectors = vectors.tocsr()
    lengths = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    factors = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return sparse.diags_array(factors.astype(np.float32)).dot(vectors).tocsr()
