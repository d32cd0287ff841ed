"""Out-of-fold scores of labels by linear discriminants on fixed vectors, in closed form.

A discriminant knows classes by their means, which one wrong label in ten hardly moves, and no example's own label is
used for its score. Source: Hastie, Tibshirani & Friedman, "The Elements of Statistical Learning", 4.3; the shared
covariance is shrunk towards a multiple of the identity (Friedman 1989, "Regularized discriminant analysis").

Letters: N examples, D width, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Targets = NDArray[np.int64] | NDArray[np.bool_]
"""Given labels: (N) indices where each example has one, (N, L) memberships where it may have several."""

SHRINKAGE, SHRINKAGE_FEW = 0.2, 0.5
FEW = 2_000  # examples, up to which the covariance is shrunk more
LEAST_UNEXPLAINED = 0.05  # of a label: few examples in many dimensions seem to explain all of it
TINY = 1e-9


def out_of_fold(
    vectors: Floats, targets: Targets, weights: Floats, folds: Sequence[tuple[list[int], list[int]]], n_labels: int,
    check: Callable[[], None] = lambda: None,
) -> Floats:  # fmt: skip
    """Scores (N, L) of each example by a discriminant that has not seen it; NaN where no fold holds it out.

    vectors (N, D), weights (N); `folds` are (positions to learn from, positions to score). `check` is called between
    the folds, and may raise.
    """
    memberships = np.eye(n_labels, dtype=np.bool_)[targets] if targets.ndim == 1 else targets.astype(np.bool_)
    fit = _one_label if targets.ndim == 1 else _several_labels
    scores = np.full((len(vectors), n_labels), np.nan)
    for known, held_out in folds:
        check()
        slopes, offsets = fit(vectors[known].astype(np.float64), memberships[known], weights[known].astype(np.float64))
        scores[held_out] = vectors[held_out] @ slopes + offsets
    return scores


def _one_label(vectors: Floats, memberships: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Slopes (D, L) and offsets (L) whose scores are log posteriors up to a constant."""
    sums = memberships * weights[:, None]  # (N, L)
    counts = sums.sum(0) + TINY
    means = sums.T @ vectors / counts[:, None]  # (L, D)
    slopes = _solve(vectors - means[memberships.argmax(1)], weights, means.T)
    return slopes, np.log(counts / counts.sum()) - 0.5 * (means.T * slopes).sum(0)


def _several_labels(vectors: Floats, memberships: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Slopes (D, L) and offsets (L) whose scores are each label's log odds, with and against it as two classes.

    With T the covariance of all vectors, d the difference of the two means and p the label's share, the covariance
    within the classes is W = T - p(1-p)dd', and W⁻¹d = T⁻¹d / (1 - p(1-p)d'T⁻¹d) (Sherman & Morrison 1950).
    """
    share = (weights @ memberships + TINY) / (weights.sum() + 2 * TINY)  # (L)
    center = weights @ vectors / weights.sum()  # (D)
    sums = (memberships * weights[:, None]).T @ (vectors - center) / weights.sum()  # (L, D)
    difference = sums / (share * (1 - share))[:, None]  # of the means with and without the label
    slopes = _solve(vectors - center, weights, difference.T)
    explained = share * (1 - share) * (difference.T * slopes).sum(0)
    slopes = slopes / np.maximum(1 - explained, LEAST_UNEXPLAINED)
    middle = center + difference * (0.5 - share)[:, None]  # (L, D): halfway between the two means
    return slopes, np.log(share / (1 - share)) - (middle.T * slopes).sum(0)


def _solve(residuals: Floats, weights: Floats, wanted: Floats) -> Floats:
    """The inverse of the shrunk covariance of residuals (N, D), times wanted (D, L)."""
    covariance = (residuals * weights[:, None]).T @ residuals / weights.sum()
    scale = np.trace(covariance) / len(covariance) + TINY
    shrinkage = SHRINKAGE if len(residuals) > FEW else SHRINKAGE_FEW
    shrunk = (1 - shrinkage) * covariance + shrinkage * scale * np.eye(len(covariance))
    solved: Floats = np.linalg.solve(shrunk, wanted)
    return solved
