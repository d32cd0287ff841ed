"""Rounding to four bits."""

from __future__ import annotations

import numpy as np
import pytest

from nanosmith.predict.packed import unpack
from nanosmith.recipes.parts.int4 import pack_columns, pack_rows

INNER, OUTER, TOKENS = 128, 24, 600


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(4)


def test_moments_make_the_output_nearer(random: np.random.Generator) -> None:
    """Where inputs go together, what a layer gives is off by less than two thirds of what it is without moments."""
    together = random.normal(size=(TOKENS, 20)) @ random.normal(size=(20, INNER))
    inputs = together + 0.3 * random.normal(size=(TOKENS, INNER))
    weight = random.normal(size=(INNER, OUTER)).astype(np.float32)
    off = {}
    for name, moments in (("none", None), ("seen", (inputs.T @ inputs / TOKENS).astype(np.float32))):
        packed, scales = pack_columns(weight, moments)
        off[name] = np.linalg.norm(inputs @ (unpack(packed) * scales - weight)) / np.linalg.norm(inputs @ weight)
    assert off["seen"] < 0.66 * off["none"] < 0.1


def test_weights_alone_are_near(random: np.random.Generator) -> None:
    """Each block has a step of its own, so that small weights beside large ones in a column are not lost."""
    weight = random.normal(size=(INNER, OUTER)).astype(np.float32)
    weight[: INNER // 2] *= 0.2
    packed, scales = pack_columns(weight, None)
    found = unpack(packed) * scales
    for half in (found - weight)[: INNER // 2], (found - weight)[INNER // 2 :]:
        assert np.abs(half).max() < 0.7
    assert np.linalg.norm((found - weight)[: INNER // 2]) < 0.2 * np.linalg.norm(weight[: INNER // 2])


def test_zero_stays_zero() -> None:
    """A layer of zeros, inputs that were never seen, and rows of zeros have no scale to divide by."""
    packed, scales = pack_columns(np.zeros((64, 3), dtype=np.float32), np.zeros((64, 64), dtype=np.float32))
    assert not (unpack(packed) * scales).any()
    packed, scales = pack_rows(np.zeros((3, 64), dtype=np.float32))
    assert not (unpack(packed) * scales).any()
