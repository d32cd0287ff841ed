"""What the linear layers read, seen on real texts: the largest input of each channel, which smoothing needs, and how
channels go together, which rounding to four bits needs."""

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

    def look(name: str, x: torch.Tensor) -> None:
        seen = x.abs().amax(0)  # (K)
        largest[name] = torch.maximum(largest[name], seen) if name in largest else seen

    _watched(encoder, run, look)
    return {name: value.numpy() for name, value in largest.items()}


def input_moments(base: Base, encoder: torch.nn.Module, rows: list[list[int]]) -> dict[str, NDArray[np.float32]]:
    """Mean products (K, K) of the inputs of each linear layer, over all tokens."""
    sums: dict[str, torch.Tensor] = {}
    tokens = sum(map(len, rows))

    def look(name: str, x: torch.Tensor) -> None:
        sums[name] = sums.get(name, 0) + x.T @ x

    _watched(encoder, lambda: base.encode(encoder.eval(), rows), look)
    return {name: (value / tokens).numpy() for name, value in sums.items()}


def _watched(encoder: torch.nn.Module, run: Callable[[], object], look: Callable[[str, torch.Tensor], None]) -> None:
    """`look` sees the input (P, K) of each linear layer, of P tokens, each time that `run` makes the encoder read."""

    def watch_input(name: str) -> object:
        return lambda _module, inputs: look(name, inputs[0].detach().flatten(0, -2))

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
