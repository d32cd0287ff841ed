"""Log-probabilities of scores."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=np.floating[Any])


def log_softmax(scores: NDArray[F]) -> NDArray[F]:
    """Natural logs of the softmax over the last axis, in the type of the scores; sums are in float64."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64)
    found: NDArray[F] = shifted - np.log(total).astype(shifted.dtype)
    return found
