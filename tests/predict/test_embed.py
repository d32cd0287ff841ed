"""Embeddings of local bundles: unit length, order, what was read, and bundles that have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.predict.conftest import tiny_encoder

from nanosmith.core.errors import InputError
from nanosmith.predict.embed import Embedder, as_embedder, shorten, unit
from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.open import open_predictor
from nanosmith.testing import FakePredictor, tiny_bundle

TEXTS = ["refund login", "refund", "nothing of that", "delivery " * 100]


@pytest.fixture
def tiny(tmp_path: Path) -> LocalPredictor:
    opened = open_predictor(tiny_bundle(tmp_path / "tiny"))
    assert isinstance(opened, LocalPredictor)
    return opened


def test_static_is_the_direction_of_the_mean(tiny: LocalPredictor) -> None:
    """The tiny bundle has one axis per word: a text of two words lies half-way between them."""
    assert isinstance(tiny, Embedder)
    made = tiny.embed(TEXTS)
    assert (made.vectors.shape, made.vectors.dtype) == ((4, 4), np.float32)
    assert made.vectors[0] == pytest.approx([0, 0, np.sqrt(0.5), np.sqrt(0.5)])
    assert made.vectors[1] == pytest.approx([0, 0, 0, 1])
    assert (made.tokens, made.dropped_tokens) == ([2, 1, 3, 64], [0, 0, 0, 36])


def test_neighbours_change_nothing(tiny: LocalPredictor) -> None:
    """Alone, in another order or among others: the same vectors to the last bit."""
    together = tiny.embed(TEXTS).vectors
    assert np.array_equal(together, np.concatenate([tiny.embed([text]).vectors for text in TEXTS]))
    assert np.array_equal(together[::-1], tiny.embed(TEXTS[::-1]).vectors)


def test_nothing_gives_nothing(tiny: LocalPredictor) -> None:
    """No texts give no rows, and a text without a token gives zeros, never NaN."""
    assert tiny.embed([]).vectors.shape == (0, 4)
    assert np.array_equal(tiny.embed(["  "]).vectors, np.zeros((1, 4)))


def test_bundles_of_before_answer_and_do_not_embed(tmp_path: Path) -> None:
    """A graph without the output `embedding` still answers; asked to embed it says what to do."""
    old = open_predictor(tiny_encoder(tmp_path / "bundle"))
    assert old.predict(["refund"])[0].value == "refund"
    assert isinstance(old, LocalPredictor)
    for ask in (lambda: old.embed(["refund"]), lambda: old.vector([3]), lambda: as_embedder(old)):
        with pytest.raises(InputError, match="Fine-tune it again"):
            ask()


def test_other_predictors_do_not_embed() -> None:
    """What is no embedder is refused in the same words."""
    with pytest.raises(InputError, match="no output for embeddings"):
        as_embedder(FakePredictor(["a", "b"]))


@given(
    arrays.arrays(np.float32, (3, 5), elements=st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6))
)
def test_shortened_vectors_have_length_one_or_zero(vectors: np.ndarray) -> None:
    """Whatever the vectors, their first two numbers keep their direction and get length 1; zero stays zero."""
    short = shorten(unit(vectors), 2)
    assert short.dtype == np.float32
    for row, before in zip(short, unit(vectors)):
        length = float(np.linalg.norm(before[:2]))
        assert np.linalg.norm(row) == pytest.approx(1 if length > 0 else 0, abs=1e-5)
        assert row * length == pytest.approx(before[:2], abs=1e-6)
