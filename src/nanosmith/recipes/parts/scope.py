"""The fit of the score for "none of these"; predict/scope.py says what it is.

A trained model has drawn its own training examples together, so that held-out ones look far away beside them. Hence all
that compares queries (weights and quantiles) is made of features of held-out examples, each by a model that had not
seen it; class means and covariances are those of the model that is kept.

Letters: N examples, D width, L labels, F features, M examples of "none of these".
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.manifest import Scope
from nanosmith.predict.scope import Tensors, features
from nanosmith.recipes.work import Floats2d, Model, Samples

Floats = NDArray[np.float64]
SHRINKAGE = 0.5  # of the covariances, towards a multiple of the identity
MAX_FITTED = 5_000  # training examples that means and covariances are made of
MAX_OUTSIDE = 500  # examples of "none of these" that are compared with
LEAST_OUTSIDE = 10  # below, they say too little to weigh features by
DISTANCE, DOUBT = 1.0, 0.2  # weights of these features
AT = 0.95  # the quantile of in-scope examples at which all features weigh the same
QUANTILES = 200
ITERATIONS = 50


class HeldOut(msgspec.Struct, frozen=True):
    """Features of in-scope examples (N, F) and of outside ones (M, F), by a model that had seen none of them."""

    inside: Floats2d
    outside: Floats2d


def tensors_of(model: Model, train: Samples, outside: Sequence[str] = ()) -> Tensors:
    """What a model's features are made with: its class means and covariances on training examples, and its embeddings
    of examples of "none of these"."""
    targets = np.asarray(train.targets, dtype=np.int64)
    few = _some(targets)
    vectors = model.embeddings([train.texts[i] for i in few]).astype(np.float64)
    others = model.embeddings(spaced(outside, MAX_OUTSIDE)) if outside else np.zeros((0, vectors.shape[1]))
    made = {**_relative_distance(vectors, targets[few]), "outside": others}
    return {name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in made.items()}


def held_out(
    model: Model, train: Samples, texts: Sequence[str], logits: Floats2d, outside: Sequence[str] = ()
) -> HeldOut:
    """Features of held-out `texts`, whose logits (N, L) are known, and of `outside` ones, by the model of `train`.

    Every other outside example is compared with the rest of them, and the other way round.
    """
    made = tensors_of(model, train, outside)
    vectors = model.embeddings(list(texts))
    inside = features(made, vectors, logits).astype(np.float32)
    if len(outside) < 2:
        return HeldOut(inside, np.zeros((0, inside.shape[1]), dtype=np.float32))
    few = spaced(outside, 2 * MAX_OUTSIDE)
    sides = few[::2], few[1::2]
    found = []
    for own, other in (sides, sides[::-1]):
        compared = {**made, "outside": model.embeddings(other)}
        found.append(features(compared, model.embeddings(own), model.logits(own)))
    return HeldOut(inside, np.concatenate(found).astype(np.float32))


def spaced(texts: Sequence[str], most: int) -> list[str]:
    """At most so many of them, evenly spaced."""
    return list(texts[:: max(1, -(-len(texts) // most))])


def fit_scope(inside: Floats2d, outside: Floats2d, *, refuse: float, label: str | None) -> Scope | None:
    """Weights and quantiles from held-out features (N, F), and (M, F) of outside examples; None where N is 0."""
    if not len(inside):
        return None
    near, far = inside.astype(np.float64), outside.astype(np.float64)
    centres = np.median(near, axis=0)
    spread = np.maximum(np.quantile(near, AT, axis=0) - centres, 1e-6)
    weights = np.array([DISTANCE, DOUBT, 0.0][: near.shape[1]])
    if len(far) >= LEAST_OUTSIDE:
        pairs = np.array([[DISTANCE, 0], [DOUBT, 0], [0, 1]])  # the first two as one
        weights[2] = fit_weight((near - centres) / spread @ pairs, (far - centres) / spread @ pairs)
    raw = (near - centres) @ (weights / spread)
    quantiles = np.maximum.accumulate(np.quantile(raw, np.linspace(0, 1, min(QUANTILES, len(raw)) + 1)))
    return Scope(
        refuse=refuse, label=label, weights=_plain(weights / spread), centres=_plain(centres),
        quantiles=_plain(quantiles), examples=len(near), outside=len(far),
    )  # fmt: skip


def fit_weight(inside: Floats, outside: Floats) -> float:
    """The weight of the second of two features beside the first, by logistic regression of outside (M, 2) against
    inside (N, 2) examples, both sides counting the same; never negative, and pulled towards 0 as by a Gaussian prior
    of variance 1."""
    columns = np.concatenate([inside, outside]).clip(-10, 10)
    columns = np.column_stack([columns, np.ones(len(columns))])
    wanted = np.repeat([0.0, 1.0], [len(inside), len(outside)])
    importance = np.repeat([len(outside) / len(inside), 1.0], [len(inside), len(outside)])
    prior, ridge = np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 1e-6])
    found = prior.copy()
    for _ in range(ITERATIONS):
        probability = 0.5 * (1 + np.tanh(0.5 * columns @ found))
        slope = columns.T @ (importance * (probability - wanted)) + ridge * (found - prior)
        curvature = (columns.T * (importance * probability * (1 - probability))) @ columns + np.diag(ridge)
        step = np.linalg.solve(curvature, slope)
        found = found - step / max(1.0, float(np.linalg.norm(step)))  # whole steps of Newton may leave for good
        if np.abs(step).max() < 1e-6:
            break
    return max(0.0, float(found[1])) / max(1.0, float(found[0]))


def _some(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of at most MAX_FITTED examples, evenly spaced, and of the first of each class that none of them has."""
    few = np.arange(0, len(targets), max(1, -(-len(targets) // MAX_FITTED)))
    _, first = np.unique(targets, return_index=True)
    return np.union1d(few, first[~np.isin(targets[first], targets[few])])


def _relative_distance(vectors: Floats, targets: NDArray[np.int64]) -> dict[str, Floats]:
    """The terms of the distance from each class less that from all, of embeddings (N, D) and classes (N).

    A class without examples is left out: no query is near it.
    """
    labels, targets = np.unique(targets, return_inverse=True)
    counts = np.bincount(targets)
    means = np.zeros((len(labels), vectors.shape[1]))
    np.add.at(means, targets, vectors)
    means /= counts[:, np.newaxis]
    middle = vectors.mean(axis=0)
    near = _precision(vectors - means[targets], len(vectors) - len(labels))
    far = _precision(vectors - middle, len(vectors) - 1)
    return {
        "square": near - far,
        "linear": 2 * ((far @ middle)[:, np.newaxis] - near @ means.T),
        "constant": np.einsum("ld,de,le->l", means, near, means) - middle @ far @ middle,
        "classes": means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9),
    }


def _precision(rest: Floats, freedom: int) -> Floats:
    """The inverse (D, D) of the covariance of residuals (N, D), shrunk towards a multiple of the identity."""
    width = rest.shape[1]
    covariance = rest.T @ rest / max(1, freedom)
    level = max(float(np.trace(covariance)) / width, 1e-9)
    inverse: Floats = np.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * level * np.eye(width))
    return inverse


def _plain(numbers: Floats) -> tuple[float, ...]:
    return tuple(float(number) for number in numbers)
