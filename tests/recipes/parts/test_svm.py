"""Separators of sparse vectors: naive Bayes factors, both methods, labels that all or none have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from nanosmith.recipes.parts.svm import ABSENT, PRIOR, Method, fit_separators, log_ratios

VECTORS = sparse.csr_matrix(np.array([[1, 0, 0.5], [1, 0, 0.2], [0, 1, 0.5], [0, 1, 0.3]], dtype=np.float32))
ONES = np.ones(4, np.float32)
FIRST = np.array([[True], [True], [False], [False]])


def test_log_ratios_by_hand() -> None:
    """The share of a term in the label's texts over that in the others', with the prior; weights count."""
    weights = np.array([1, 3, 1, 1], np.float32)
    inside = np.array([4, 0, 1.1]) + PRIOR
    outside = np.array([0, 2, 0.8]) + PRIOR
    wanted = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    assert log_ratios(VECTORS, FIRST, weights)[0] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("bayes", [False, True])
def test_margins_part_the_labels(bayes: bool) -> None:
    """Margins are above 0 just where the label is, with either method."""
    [found] = fit_separators(VECTORS, np.hstack([FIRST, ~FIRST]), ONES, (Method(10.0, bayes),), 0, lambda done: None)
    assert np.array_equal(found.margins(VECTORS) > 0, np.hstack([FIRST, ~FIRST]))


def test_labels_that_all_or_none_have() -> None:
    """Nothing is to be told apart there: the margin is the same for every text."""
    wanted = np.hstack([FIRST | True, FIRST & False])
    told: list[int] = []
    [found] = fit_separators(VECTORS, wanted, ONES, (Method(1.0, True),), 0, told.append)
    assert found.margins(VECTORS).tolist() == [[-ABSENT, ABSENT]] * 4
    assert told == [0, 1, 2]
