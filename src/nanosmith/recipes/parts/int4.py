"""Four-bit weights: rounded so that what a layer gives moves least, not each weight.

GPTQ (Frantar, Ashkboos, Hoefler & Alistarh 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers"): the inputs of a layer are rounded one by one, and what was rounded off is made up for by those that are
still to come, as far as these go together in what the layer reads. predict/packed.py has the form.

Letters: K inputs and M outputs of a linear layer, V vocabulary, D width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanosmith.predict.packed import BLOCK, pack

Array = NDArray[Any]
LARGEST, MOST_STEPS = 7, 9  # 7 · 9 = 63, as far as int8 weights go here
DAMPING = 0.01  # of the mean second moment, so that the moments can be inverted


def pack_columns(weight: Array, moments: Array | None) -> tuple[Array, Array]:
    """Packed uint8 weights and one float32 scale per column (M) of weight (K, M), K whole UNITs. `moments` (K, K) are
    mean products of the inputs; without them each weight is rounded on its own."""
    scales = np.abs(weight).max(axis=0) / (LARGEST * MOST_STEPS)
    scales[scales == 0] = 1
    left, factor = weight / scales, _factor(moments)  # what is still to be rounded, in units of int8
    numbers, steps = np.empty(left.shape, dtype=np.int8), np.empty((len(left) // BLOCK, left.shape[1]), dtype=np.int8)
    for place, start in enumerate(range(0, len(left), BLOCK)):
        rows = slice(start, start + BLOCK)
        steps[place] = _steps(left[rows])
        if factor is None:
            numbers[rows] = _rounded(left[rows], steps[place])
            continue
        off, own = np.empty_like(left[rows]), factor[rows, rows]
        for row in range(BLOCK):
            now = left[start + row]
            numbers[start + row] = _rounded(now, steps[place])
            off[row] = (now - numbers[start + row] * steps[place]) / own[row, row]
            left[start + row + 1 : rows.stop] -= np.outer(own[row, row + 1 :], off[row])
        left[rows.stop :] -= factor[rows, rows.stop :].T @ off
    return pack(numbers, steps), scales.astype(np.float32)


def pack_rows(table: Array) -> tuple[Array, Array]:
    """The same of a table (V, D), with a scale per row (V): its columns are packed (33 D / 64, V)."""
    return pack_columns(table.T, None)


def _factor(moments: Array | None) -> Array | None:
    """The upper Cholesky factor (K, K) of the inverse of the moments."""
    if moments is None:
        return None
    damped = moments + np.eye(len(moments)) * max(DAMPING * float(np.trace(moments)) / len(moments), 1e-9)
    factor: Array = np.linalg.cholesky(np.linalg.inv(damped)).T.astype(np.float32)
    return factor


def _steps(block: Array) -> Array:
    """For each column of a block (BLOCK, M) the step with which rounding moves it least."""
    found, least = np.ones(block.shape[1], dtype=np.int8), np.full(block.shape[1], np.inf)
    for step in range(1, MOST_STEPS + 1):
        error = np.square(_rounded(block, step) * step - block).sum(axis=0)
        better = error < least
        found[better], least[better] = step, error[better]
    return found


def _rounded(values: Array, step: Array | int) -> Array:
    rounded: Array = np.round(values / step).clip(-LARGEST, LARGEST)
    return rounded
