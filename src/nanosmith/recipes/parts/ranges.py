"""The largest input of each linear layer's channels, seen on real texts: what smoothing needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from nanosmith.recipes.parts.base import Base

SAMPLE = 128  # texts


def activation_ranges(base: Base, encoder: torch.nn.Module, rows: list[list[int]]) -> dict[str, NDArray[np.float32]]:
    """Largest absolute value (K) per input channel of each linear layer, by its name in `graph.linear_names`."""
    # one by one: padding is no input of serving
    return ranges_of(encoder, lambda: base.encode(encoder.eval(), rows[:SAMPLE], batch=1))


def ranges_of(encoder: torch.nn.Module, run: Callable[[], object]) -> dict[str, NDArray[np.float32]]:
    """The same, of whatever `run` gives the encoder to read."""
    largest: dict[str, torch.Tensor] = {}

    def watch_input(name: str) -> object:
        def hook(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            seen = inputs[0].detach().abs().flatten(0, -2).amax(0)  # (K)
            largest[name] = torch.maximum(largest[name], seen) if name in largest else seen

        return hook

    hooks = []
    for i, layer in enumerate(encoder.encoder.layer):
        parts = {"qkv": layer.attention.self.query, "attention_out": layer.attention.output.dense,
                 "up": layer.intermediate.dense, "down": layer.output.dense}  # fmt: skip
        hooks += [module.register_forward_pre_hook(watch_input(f"{i}.{name}")) for name, module in parts.items()]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return {name: value.numpy() for name, value in largest.items()}
