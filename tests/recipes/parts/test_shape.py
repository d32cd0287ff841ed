"""Smaller encoders inside of larger ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.from_bundle import encoder_of
from nanosmith.recipes.parts.shape import Shape, cut, cut_config, even, evenly, importance_of, shape_of

ROWS = [[2, 7, 9, 3], [2, 8, 3]]


@pytest.fixture
def base(base_folder: Path) -> Base:
    return Base(find_base(str(base_folder)))


def weights_of(encoder: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}


def vectors(base: Base, encoder: torch.nn.Module) -> np.ndarray:
    return base.encode(encoder, ROWS)


@pytest.mark.parametrize(("layers", "kept", "expected"), [(6, 6, [0, 1, 2, 3, 4, 5]), (6, 3, [0, 2, 5]), (6, 1, [0])])
def test_layers_are_picked_evenly(layers: int, kept: int, expected: list[int]) -> None:
    """From the first to the last."""
    assert evenly(layers, kept) == expected


def test_whole_shape_is_the_same_encoder(base: Base) -> None:
    """Cutting nothing changes nothing."""
    encoder = base.new_encoder().eval()
    made = cut(weights_of(encoder), base.config, shape_of(base.config), even(shape_of(base.config)))
    again = encoder_of(base.config, made).eval()
    assert np.allclose(vectors(base, again), vectors(base, encoder), atol=1e-6)


def test_what_is_cut_is_what_does_nothing(base: Base) -> None:
    """An encoder whose dropped heads and columns give nothing answers as the whole one does, with fewer weights."""
    encoder = base.new_encoder().eval()
    whole = shape_of(base.config)
    wanted = Shape(whole.layers, whole.heads // 2, whole.columns // 2)
    width = int(base.config["hidden_size"]) // whole.heads
    with torch.no_grad():
        for layer in encoder.encoder.layer:
            layer.attention.output.dense.weight[:, width * wanted.heads :] = 0
            layer.output.dense.weight[:, wanted.columns :] = 0
    found = importance_of(encoder, [lambda: base.sentence_vectors(encoder, ROWS)[:, 0].sum()])
    assert all(np.flatnonzero(one).tolist() == list(range(wanted.heads)) for one in found.heads)
    made = cut(weights_of(encoder), base.config, wanted, found)
    small = encoder_of(cut_config(base.config, wanted, int(base.config["vocab_size"])), made).eval()
    again = cut(made, cut_config(base.config, wanted, 1), Shape(1, 1, 8), even(wanted))
    assert again["encoder.layer.0.attention.output.dense.weight"].shape == (base.config["hidden_size"], width)
    assert made["encoder.layer.0.attention.self.query.weight"].shape == (
        wanted.heads * width,
        base.config["hidden_size"],
    )
    assert np.allclose(vectors(base, small), vectors(base, encoder), atol=1e-5)
