"""Four-bit weights, packed and unpacked."""

from __future__ import annotations

import numpy as np
import pytest

from nanosmith.predict.packed import BLOCK, UNIT, pack, unpack


@pytest.mark.parametrize("inner", [UNIT, 3 * UNIT])
def test_unpacked_weights_are_numbers_times_steps(inner: int) -> None:
    """Exactly, for all numbers in ±7 and steps up to 9, in 33 half bytes for each 32 weights."""
    random = np.random.default_rng(1)
    numbers = random.integers(-7, 8, size=(inner, 5)).astype(np.int8)
    steps = random.integers(1, 10, size=(inner // BLOCK, 5)).astype(np.int8)
    packed = pack(numbers, steps)
    assert packed.dtype == np.uint8
    assert packed.size * 2 == numbers.size + steps.size
    assert np.array_equal(unpack(packed), numbers * np.repeat(steps, BLOCK, axis=0))


def test_rows_that_are_no_whole_blocks() -> None:
    """A damaged table is an error, not other weights."""
    with pytest.raises(ValueError, match="broadcast"):
        unpack(np.zeros((20, 3), dtype=np.uint8))
