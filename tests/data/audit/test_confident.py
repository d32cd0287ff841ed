"""Confident learning on probabilities that are known."""

from __future__ import annotations

import numpy as np

from nanosmith.data.audit.confident import doubt_choices, doubt_memberships


def probabilities(labels: np.ndarray, n_labels: int, sure: float = 0.9) -> np.ndarray:
    """(N, L): `sure` for the true label, the rest shared by the others, and a little noise."""
    rows = np.full((len(labels), n_labels), (1 - sure) / (n_labels - 1))
    rows[np.arange(len(labels)), labels] = sure
    rows *= np.random.default_rng(0).uniform(0.95, 1.05, rows.shape)
    return rows / rows.sum(1, keepdims=True)


def test_wrong_choices() -> None:
    """Exactly the planted errors are likely, each with its true label, and the count is about theirs."""
    true = np.arange(300) % 5
    given = true.copy()
    given[:30] = (true[:30] + 2) % 5
    doubts = doubt_choices(probabilities(true, 5), given)
    assert doubts.other is not None
    found = np.flatnonzero(doubts.probability >= 0.5)
    assert set(found) <= set(range(30))
    assert len(found) == 30
    assert 0 < doubts.count <= 30
    np.testing.assert_array_equal(doubts.other[found], true[found])


def test_no_error() -> None:
    """Where every given label is the most probable one, none is likely wrong."""
    true = np.arange(100) % 4
    doubts = doubt_choices(probabilities(true, 4), true)
    assert doubts.count == 0
    assert (doubts.probability < 0.5).all()


def test_the_given_label_wins_ties() -> None:
    """Confident learning may count some that the probabilities do not contradict; they are not called wrong."""
    rows = np.array([[0.51, 0.49]] * 4 + [[0.9, 0.1]] * 2 + [[0.48, 0.52]] * 4)
    doubts = doubt_choices(rows, np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1]))
    assert (doubts.probability < 0.5).all()


def test_memberships() -> None:
    """Of sets of labels both a missing and a wrongly given member are found."""
    true = np.random.default_rng(1).random((200, 3)) < 0.4
    sure = np.clip(np.where(true, 0.95, 0.05) + np.random.default_rng(2).normal(0, 0.01, (200, 3)), 0.01, 0.99)
    given = true.copy()
    given[:10, 0] = ~given[:10, 0]
    doubts = doubt_memberships(sure, given)
    found = np.argwhere(doubts.probability >= 0.5)
    assert len(found) >= 4
    assert {(int(i), int(j)) for i, j in found} <= {(i, 0) for i in range(10)}
