"""One linear separator per label: a support vector machine with squared hinge loss, on sparse vectors.

With `bayes`, each term is first multiplied by how much likelier it is with the label than without (Wang & Manning 2012,
"Baselines and Bigrams: Simple, Good Sentiment and Topic Classification", NBSVM); the factor is then part of the weight.
The solver is liblinear's dual coordinate descent (Fan et al. 2008). Letters: N examples, F terms, L labels.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.svm import LinearSVC

Floats = NDArray[np.float32]
PRIOR = 0.3  # added to each term's sum of a label, so that none is impossible
TOLERANCE = 1e-2
ABSENT = -2.0  # the margin of a label that no example has, or (negated) that all have


class Method(msgspec.Struct, frozen=True):
    """`c`: how much an error costs beside large weights. `bayes`: whether terms are weighted by their log ratios."""

    c: float
    bayes: bool


class Separators(msgspec.Struct, frozen=True):
    """`weight` (F, L) and `bias` (L): margins, above 0 where a label is."""

    weight: Floats
    bias: Floats

    def margins(self, vectors: sparse.csr_matrix) -> Floats:
        """(N, L) of sparse vectors (N, F)."""
        found: Floats = vectors @ self.weight + self.bias
        return found


def fit_separators(
    vectors: sparse.csr_matrix,
    wanted: NDArray[np.bool_],
    weights: Floats,
    methods: tuple[Method, ...],
    seed: int,
    told: Callable[[int], None],
) -> list[Separators]:
    """For each method separators of vectors (N, F) with memberships `wanted` (N, L). `told` is called with the number
    of labels that are finished, before each label and at the end."""
    counted = weights > 0
    vectors, wanted, weights = vectors[counted], wanted[counted], weights[counted] / weights[counted].mean()
    shape = vectors.shape[1], wanted.shape[1]
    found = [Separators(np.zeros(shape, np.float32), np.zeros(shape[1], np.float32)) for _ in methods]
    ratios = log_ratios(vectors, wanted, weights) if any(method.bayes for method in methods) else None
    for label in range(shape[1]):
        told(label)
        for method, separators in zip(methods, found):
            factors = ratios[label] if method.bayes and ratios is not None else np.ones(shape[0], np.float32)
            column, bias = _separator(_scaled(vectors, factors), wanted[:, label], weights, method.c, seed)
            separators.weight[:, label], separators.bias[label] = column * factors, bias
    told(shape[1])
    return found


def log_ratios(vectors: sparse.csr_matrix, wanted: NDArray[np.bool_], weights: Floats) -> Floats:
    """ln P(term | label) - ln P(term | another label), (L, F)."""
    members = sparse.csr_matrix((wanted * weights[:, np.newaxis]).T)  # (L, N)
    inside = (members @ vectors).toarray() + PRIOR
    outside = np.asarray(weights @ vectors) + 2 * PRIOR - inside
    ratios = np.log(inside / inside.sum(axis=1, keepdims=True) / outside * outside.sum(axis=1, keepdims=True))
    narrow: Floats = ratios.astype(np.float32)
    return narrow


def _scaled(vectors: sparse.csr_matrix, factors: Floats) -> sparse.csr_matrix:
    """Each column times its factor (F)."""
    return sparse.csr_matrix(
        (vectors.data * factors[vectors.indices], vectors.indices, vectors.indptr), shape=vectors.shape
    )


def _separator(
    vectors: sparse.csr_matrix, wanted: NDArray[np.bool_], weights: Floats, c: float, seed: int
) -> tuple[Floats, float]:
    """Weights (F) and bias of one label."""
    if wanted.all() or not wanted.any() or not vectors.nnz:
        return np.zeros(vectors.shape[1], dtype=np.float32), ABSENT * (-1 if wanted.all() else 1)
    fitted = LinearSVC(C=c, tol=TOLERANCE, random_state=seed).fit(vectors, wanted, sample_weight=weights)
    return fitted.coef_[0].astype(np.float32), float(fitted.intercept_[0])
