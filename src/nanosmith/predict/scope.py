"""How far a query is from everything that a model was trained on: the score for "none of these".

Features of a query, the larger the further away:
distance   squared Mahalanobis distance of its embedding from the nearest class mean, with one covariance for all
           classes, less that from the mean of all examples, with their covariance (Ren et al. 2021, "A Simple Fix to
           Mahalanobis Distance for Improving Near-OOD Detection")
doubt      -log of the highest probability (Hendrycks and Gimpel 2017)
outside    cosine similarity with the nearest example of "none of these", where there are any, less that with the
           nearest class mean

Their weighted sum is the raw score. Its place among the raw scores of held-out in-scope queries makes it a figure in
[0, 1]: at 0.5 just the tolerated share of those lies above, as in conformal prediction.

Letters: N texts, D width of embeddings, L labels, F features, M outside examples.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from nanosmith.core.manifest import Scope

Floats = NDArray[np.floating]
Tensors = Mapping[str, NDArray[np.floating]]
SCOPE_FILE = "scope.safetensors"
"""Tensors: `square` (D, D), `linear` (D, L) and `constant` (L), the distance from class c being
x·square·x + x·linear[c] + constant[c]; `outside` (M, D) and `classes` (L, D) unit vectors, maybe with M = 0. Float32,
or float16 in the file."""


class ScopeScore:
    """The score of single queries, as a bundle has it."""

    def __init__(self, scope: Scope, tensors: Tensors) -> None:
        self.label = scope.label
        self._tensors = tensors
        self._weights = np.asarray(scope.weights)
        self._offset = float(self._weights @ np.asarray(scope.centres))
        self._scope = scope

    @classmethod
    def open(cls, scope: Scope, file: Path) -> ScopeScore:
        return cls(scope, {name: array.astype(np.float32, copy=False) for name, array in load_file(file).items()})

    def of(self, vector: Floats, logits: Floats) -> float:
        """In [0, 1], refused from 0.5 on: of an embedding (D) and logits (L), before calibration."""
        found = features(self._tensors, vector[np.newaxis], logits[np.newaxis])[0]
        scope = self._scope
        return figure(float(self._weights @ found) - self._offset, scope.quantiles, scope.examples, scope.refuse)


class QueryScore:
    """The score of one query, computed when it is first asked for: that reads matrices which no cache holds any more
    after a graph's run, and takes a tenth of its time."""

    def __init__(self, score: ScopeScore, vector: Floats, logits: Floats) -> None:
        self._score, self._vector, self._logits = score, vector, logits

    @cached_property
    def value(self) -> float:
        return self._score.of(self._vector, self._logits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QueryScore) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


def features(tensors: Tensors, vectors: Floats, logits: Floats) -> Floats:
    """Features (N, F) of embeddings (N, D) and logits (N, L)."""
    squares = np.einsum("nd,nd->n", vectors @ tensors["square"], vectors)
    distance = squares + (vectors @ tensors["linear"] + tensors["constant"]).min(1)
    columns = [distance, np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1))]
    if len(tensors["outside"]):
        columns.append((vectors @ tensors["outside"].T).max(1) - (vectors @ tensors["classes"].T).max(1))
    return np.stack(columns, axis=1)


def figure(raw: float, quantiles: Sequence[float], examples: int, refuse: float) -> float:
    """A raw score as a figure in [0, 1] that grows with it: 0.5 where the share `refuse` of in-scope queries is above.

    `quantiles` are raw scores at evenly spaced shares of `examples` held-out queries, ascending.
    """
    above = _share_above(raw, quantiles, examples)
    if above <= refuse:
        return 1 - 0.5 * above / refuse
    return 0.5 * (1 - above) / (1 - refuse)


def _share_above(raw: float, quantiles: Sequence[float], examples: int) -> float:
    """The share of in-scope queries, in (0, 1), whose raw score is above this one. Beyond both ends it falls off
    exponentially."""
    least = 1 / (examples + 2)  # of what lies beyond one end
    scale = max(quantiles[-1] - quantiles[0], 1e-9) / 4
    if raw >= quantiles[-1]:
        return least * math.exp((quantiles[-1] - raw) / scale)
    if raw < quantiles[0]:
        return 1 - least * math.exp((raw - quantiles[0]) / scale)
    place = bisect_right(quantiles, raw) - 1
    low, high = quantiles[place], quantiles[place + 1]
    below = (place + (raw - low) / (high - low)) / (len(quantiles) - 1)
    return least + (1 - 2 * least) * (1 - below)
