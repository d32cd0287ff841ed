from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.forward import sentence_vectors

ROWS = [[2, 7, 8, 9, 3], [2, 11, 3], [2, 5, 6, 7, 12, 13, 14, 3]]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("rows", [ROWS, ROWS[:1] * 2], ids=["padded", "of one length"])
def test_what_transformers_computes(pooling: str, rows: list[list[int]], base: Base) -> None:
    """The vectors are those of the encoder's own forward pass on each row alone."""
    encoder = base.new_encoder().eval()
    found = sentence_vectors(encoder, rows, pad_id=0, pooling=pooling, dtype=torch.float32)
    for vector, row in zip(found, rows):
        states = encoder(input_ids=torch.tensor([row])).last_hidden_state[0]  # (T, D)
        assert torch.allclose(vector, states[0] if pooling == "cls" else states.mean(0), atol=1e-5)


def test_gradients_reach_all_layers(base: Base) -> None:
    """Every weight of every layer gets a gradient, nearly the same one when matrix products are in bfloat16."""
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        encoder = base.new_encoder()
        vectors = sentence_vectors(encoder, ROWS, pad_id=0, pooling="mean", dtype=dtype)
        vectors[:, ::2].sum().backward()
        gradients.append(
            {name: p.grad.flatten() for name, p in encoder.encoder.named_parameters() if p.grad is not None}
        )
        assert len(gradients[-1]) == len(list(encoder.encoder.named_parameters()))
    for name, exact in gradients[0].items():
        if exact.norm() > 1e-3:  # the keys' biases have none but rounding
            assert functional.cosine_similarity(exact, gradients[1][name], dim=0) > 0.98, name
