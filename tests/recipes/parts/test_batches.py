from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.recipes.parts.batches import by_length, shuffled, thinned

ROWS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=1, max_size=50)


@given(ROWS, st.integers(1, 8), st.integers(0, 99))
def test_every_row_once(rows: list[list[int]], batch: int, seed: int) -> None:
    """Both orders hold every row exactly once, in batches of at most the wanted size."""
    for batches in (by_length(rows, batch), shuffled(rows, batch, np.random.default_rng(seed))):
        assert sorted(i for one in batches for i in one) == list(range(len(rows)))
        assert max(map(len, batches)) <= batch


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 99))
def test_labels_meet_their_own(labels: list[int], seed: int) -> None:
    """With labels, each row but the last of an odd number shares its batch with another one of its label."""
    rows = [[1] * (i % 7 + 1) for i in range(len(labels))]
    batches = shuffled(rows, 2, np.random.default_rng(seed), np.array(labels))
    assert sorted(i for one in batches for i in one) == list(range(len(rows)))
    pairs = sum(labels.count(label) // 2 for label in set(labels))
    alone = len(labels) - 2 * pairs  # each may shift the pairs that follow it
    together = sum(len({labels[i] for i in one}) == 1 and len(one) == 2 for one in batches)
    assert together == pairs or alone


@given(st.lists(st.integers(5, 9), min_size=2, max_size=30), st.floats(0, 1), st.integers(0, 99))
def test_thinned_rows(row: list[int], share: float, seed: int) -> None:
    """First and last token stay, the others keep their order, and a row with tokens between them keeps at least one."""
    left = thinned(row, share, np.random.default_rng(seed))
    assert (left[0], left[-1]) == (row[0], row[-1])
    rest = iter(row)
    assert all(token in rest for token in left)
    assert len(left) > 2 or len(row) == 2


def test_epochs_differ() -> None:
    """Two epochs have different batches."""
    rows = [[1] * (i % 5 + 1) for i in range(40)]
    random = np.random.default_rng(0)
    assert shuffled(rows, 4, random) != shuffled(rows, 4, random)
