"""Vectors of texts by their words."""

from __future__ import annotations

import numpy as np
import pytest

from nanosmith.core.errors import Cancelled
from nanosmith.core.watch import Watch
from nanosmith.recipes.parts.term_vectors import WIDTH, term_vectors
from nanosmith.testing import topic_rows

TEXTS = [text for text, _ in topic_rows(60)]
LABELS = np.array([label for _, label in topic_rows(60)])


class Stopped(Watch):
    def should_stop(self) -> bool:
        return True


def test_texts_of_the_same_words_are_near() -> None:
    """Vectors have length 1, are the same every time, and are nearer within a topic than between two."""
    vectors = term_vectors(TEXTS)
    assert vectors.shape == (60, 15)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors, term_vectors(TEXTS))
    near = vectors @ vectors.T
    same = LABELS[:, None] == LABELS
    assert near[same].mean() > near[~same].mean() + 0.2


@pytest.mark.parametrize(("texts", "width"), [([], 0), (["a"], 0), (["", " "] * 20, 0), ([*TEXTS] * 20, WIDTH)])
def test_width(texts: list[str], width: int) -> None:
    """It is bounded by the number of texts and terms; without words there is none."""
    vectors = term_vectors(texts)
    assert vectors.shape[0] == len(texts)
    assert vectors.shape[1] <= width


def test_stopping() -> None:
    """It can be stopped."""
    with pytest.raises(Cancelled):
        term_vectors(TEXTS, Stopped())
