"""static/1: what is computed at once is what is computed apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanosmith.predict.open import open_predictor
from nanosmith.predict.static import StaticPredictor
from nanosmith.testing import tiny_bundle


@pytest.fixture
def tiny(tmp_path: Path) -> StaticPredictor:
    predictor = open_predictor(tiny_bundle(tmp_path / "bundle"))
    assert isinstance(predictor, StaticPredictor)
    return predictor


@pytest.mark.parametrize("ids", [[], [1], [1, 2, 2, 3], [0] * 64])
def test_scores_and_vector_from_one_sum(tiny: StaticPredictor, ids: list[int]) -> None:
    """The same scores and the same vector as when each is asked for, also without a token."""
    scores, vector = tiny.both(ids)
    np.testing.assert_allclose(scores, tiny.logits(ids), atol=1e-6)
    np.testing.assert_allclose(vector, tiny.vector(ids), atol=1e-6)


def test_a_vector_of_nothing(tiny: StaticPredictor) -> None:
    """Tokens whose vectors cancel out have no direction, and no division by zero."""
    tiny._tensors["scales"] = tiny._tensors["scales"].copy()
    tiny._tensors["scales"][1] = 0
    scores, vector = tiny.both([1, 1])
    assert not vector.any()
    assert np.isfinite(scores).all()
