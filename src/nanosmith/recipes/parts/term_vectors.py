"""Vectors of texts by their words alone: TF-IDF in a few hundred dimensions, latent semantic analysis.

Source: Deerwester, Dumais, Furnas, Landauer & Harshman 1990, "Indexing by Latent Semantic Analysis"; the singular
vectors are found by random projection (Halko, Martinsson & Tropp 2011).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

from nanosmith.core.limits import MAX_TFIDF_WORDS
from nanosmith.core.watch import Watch
from nanosmith.predict.tfidf import read_words
from nanosmith.recipes.parts.terms import Counts, learn

WIDTH = 256  # at most, and a quarter of the number of texts
MOST_TERMS, MOST_VALUES = 100_000, 30_000_000
STAGE = "weigh the words"


def term_vectors(texts: Sequence[str], watch: Watch | None = None) -> NDArray[np.float32]:
    """Vectors (N, W) of length 1, always the same for the same texts; of length 0 where a text has no known word, and
    W = 0 where none has."""
    watch = watch or Watch()
    watch.progress(STAGE, 0, 2)
    _, vectors = learn(Counts.of([read_words(text, MAX_TFIDF_WORDS) for text in texts]), MOST_TERMS, MOST_VALUES)
    watch.check()
    watch.progress(STAGE, 1, 2)
    width = min(WIDTH, len(texts) // 4, vectors.shape[1] - 1)
    if width < 1:
        return np.zeros((len(texts), 0), dtype=np.float32)
    left, values, _ = randomized_svd(vectors, width, random_state=0)
    found: NDArray[np.float32] = (left * values).astype(np.float32)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    watch.progress(STAGE, 2, 2)
    return found
