from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.recipes.parts.batches import by_length, padded, shuffled

ROWS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=1, max_size=50)


@given(ROWS, st.integers(1, 8), st.integers(0, 99))
def test_every_row_once(rows: list[list[int]], batch: int, seed: int) -> None:
    """Both orders hold every row exactly once, in batches of at most the wanted size."""
    for batches in (by_length(rows, batch), shuffled(rows, batch, np.random.default_rng(seed))):
        assert sorted(i for one in batches for i in one) == list(range(len(rows)))
        assert max(map(len, batches)) <= batch


@given(ROWS)
def test_padding_is_masked(rows: list[list[int]]) -> None:
    """The mask marks exactly the real ids, and is absent when nothing is padded."""
    ids, mask = padded(rows, pad_id=0)
    if mask is None:
        assert len({len(row) for row in rows}) == 1
        assert ids.tolist() == rows
    else:
        assert [[token for token, real in zip(*pair) if real] for pair in zip(ids.tolist(), mask.tolist())] == rows


def test_epochs_differ() -> None:
    """Two epochs have different batches."""
    rows = [[1] * (i % 5 + 1) for i in range(40)]
    random = np.random.default_rng(0)
    assert shuffled(rows, 4, random) != shuffled(rows, 4, random)
