"""Weights of four bits that become int8 when a bundle is opened.

A column of K weights is K numbers in ±7 and, for each BLOCK of them, a step from 1 to 15: number times step is the int8
weight, exactly. Both take half a byte, so a weight takes 4.1 bits. Letters: K inputs and M outputs of a linear layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BLOCK = 32
MIDDLE = 8  # is added to the numbers, so that they are 1 to 15
UNIT = 2 * BLOCK  # K is a multiple of it: the steps fill whole bytes then


def pack(numbers: Array, steps: Array) -> Array:
    """uint8 (33 K / 64, M) of numbers (K, M) and steps (K / BLOCK, M): the first half of all these rows is in the low
    bits, the second in the high ones."""
    low, high = np.split(np.concatenate([numbers + MIDDLE, steps]).astype(np.uint8), 2)
    packed: Array = low | high << 4
    return packed


def unpack(packed: Array) -> Array:
    """int8 weights (K, M). Raises ValueError where the rows are no whole blocks."""
    rows, columns = 2 * len(packed), packed.shape[1]
    blocks = rows // (BLOCK + 1)
    values = np.empty((rows, columns), dtype=np.int8)
    np.bitwise_and(packed, 15, out=values[: len(packed)], casting="unsafe")
    np.right_shift(packed, 4, out=values[len(packed) :], casting="unsafe")
    numbers, steps = values[: blocks * BLOCK], values[blocks * BLOCK :]
    numbers -= MIDDLE
    weights = numbers.reshape(blocks, BLOCK, columns)
    weights *= steps[:, None]
    return numbers
