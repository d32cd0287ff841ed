"""Out-of-fold scores by linear discriminants."""

from __future__ import annotations

import numpy as np
import pytest

from nanosmith.core.errors import Cancelled
from nanosmith.data.audit.discriminant import out_of_fold

Fold = tuple[list[int], list[int]]


def blobs(n: int, n_labels: int, width: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, width) around one mean per label, and the labels (n)."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % n_labels
    return random.normal(0, 0.3, (n, width)) + random.normal(0, 1, (n_labels, width))[labels], labels


def five_folds(n: int) -> list[Fold]:
    return [([i for i in range(n) if i % 5 != k], [i for i in range(n) if i % 5 == k]) for k in range(5)]


def test_one_label() -> None:
    """Separate classes are told apart by scores of examples that were not seen."""
    vectors, labels = blobs(150, 3)
    scores = out_of_fold(vectors, labels, np.ones(150), five_folds(150), 3)
    assert (scores.argmax(1) == labels).mean() > 0.98


def test_several_labels() -> None:
    """With sets of labels each label has log odds of its own, above zero for its members."""
    vectors, labels = blobs(200, 4)
    members = np.eye(4, dtype=bool)[labels] | np.eye(4, dtype=bool)[[0] * 200] & (np.arange(200) % 2 == 0)[:, None]
    vectors[::2] += 2 * np.eye(16)[0]
    scores = out_of_fold(vectors, members, np.ones(200), five_folds(200), 4)
    assert ((scores > 0) == members).mean() > 0.97


def test_own_label_has_no_say() -> None:
    """An example's label does not move its own score."""
    vectors, labels = blobs(60, 3)
    folds = five_folds(60)
    before = out_of_fold(vectors, labels, np.ones(60), folds, 3)[7]
    other = labels.copy()
    other[7] = (labels[7] + 1) % 3
    np.testing.assert_array_equal(out_of_fold(vectors, other, np.ones(60), folds, 3)[7], before)


def test_weights_count_as_copies() -> None:
    """An example of weight two is like two examples, and one of weight zero like none."""
    vectors, labels = blobs(30, 3)
    known, asked = list(range(20)), list(range(20, 30))
    weights = np.ones(30)
    weights[0], weights[1] = 2, 0
    weighted = out_of_fold(vectors, labels, weights, [(known, asked)], 3)[asked]
    copied = out_of_fold(vectors, labels, np.ones(30), [([0, 0, *known[2:]], asked)], 3)[asked]
    np.testing.assert_allclose(weighted, copied, rtol=1e-6)


def test_unjudged_are_nan() -> None:
    """What no fold holds out has no score."""
    vectors, labels = blobs(30, 3)
    scores = out_of_fold(vectors, labels, np.ones(30), [(list(range(20)), list(range(20, 29)))], 3)
    assert np.isnan(scores[[0, 29]]).all()
    assert not np.isnan(scores[20:29]).any()


def test_stops_on_request() -> None:
    """What `check` raises ends the work."""

    def check() -> None:
        raise Cancelled("stopped")

    vectors, labels = blobs(30, 3)
    with pytest.raises(Cancelled):
        out_of_fold(vectors, labels, np.ones(30), five_folds(30), 3, check)
