"""A smaller encoder inside of a larger one: some of its layers, attention heads, FFN columns and pieces.

Layers are picked evenly from the first to the last, as DistilBERT's are (Sanh et al. 2019). Heads and columns stay by
importance: how much the loss would change were their output scaled, |∂loss/∂gate|, which is the sum of weight times
gradient over the weights that read it (Michel, Levy & Neubig 2019, "Are Sixteen Heads Really Better than One?"). Every
layer keeps as many, so that the graph stays one of equal layers.

Letters: D width, H heads, F FFN columns, V pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]
PREFIX = "encoder.layer"


class Shape(msgspec.Struct, frozen=True):
    """How many `layers` an encoder has, and `heads` and `columns` (of the FFN) each layer has."""

    layers: int
    heads: int
    columns: int


class Importance(msgspec.Struct, frozen=True):
    """Of each layer's heads (H) and columns (F), larger is more."""

    heads: list[Array]
    columns: list[Array]


def shape_of(config: Mapping[str, Any]) -> Shape:
    return Shape(config["num_hidden_layers"], config["num_attention_heads"], config["intermediate_size"])


def even(whole: Shape) -> Importance:
    """Nothing is more important than anything else."""
    return Importance([np.ones(whole.heads)] * whole.layers, [np.ones(whole.columns)] * whole.layers)


def cut(weights: Arrays, config: Mapping[str, Any], wanted: Shape, importance: Importance) -> dict[str, Array]:
    """Tensors of the smaller encoder, by BERT's names at Hugging Face."""
    whole = shape_of(config)
    made = {name: array for name, array in weights.items() if not name.startswith(PREFIX)}
    for new, old in enumerate(evenly(whole.layers, wanted.layers)):
        one = {name: weights[name] for name in weights if name.startswith(f"{PREFIX}.{old}.")}
        rows = _rows_of_heads(_most(importance.heads[old], wanted.heads), head_width(weights, config))
        columns = _most(importance.columns[old], wanted.columns)
        for name, array in one.items():
            short = name.removeprefix(f"{PREFIX}.{old}.")
            made[f"{PREFIX}.{new}.{short}"] = _part(short, array, rows, columns)
    return {name: np.ascontiguousarray(array) for name, array in made.items()}


def head_width(weights: Arrays, config: Mapping[str, Any]) -> int:
    """Values per attention head; an encoder that was cut before has fewer heads than its width has room for."""
    return len(weights[f"{PREFIX}.0.attention.self.query.weight"]) // int(config["num_attention_heads"])


def cut_config(config: Mapping[str, Any], wanted: Shape, pieces: int) -> dict[str, Any]:
    """The configuration that goes with `cut`; heads keep their width."""
    return {**config, "num_hidden_layers": wanted.layers, "num_attention_heads": wanted.heads,
            "intermediate_size": wanted.columns, "vocab_size": pieces}  # fmt: skip


def evenly(layers: int, kept: int) -> list[int]:
    """Which of the layers stay: the first, the last where there are two and more, and others evenly between."""
    return [round(i * (layers - 1) / max(1, kept - 1)) for i in range(kept)]


def importance_of(encoder: torch.nn.Module, losses: Iterable[Callable[[], torch.Tensor]]) -> Importance:
    """Mean over the losses of |Σ weight · ∂loss/∂weight| per head and column."""
    count = int(encoder.config.num_attention_heads)
    layers = list(encoder.encoder.layer)
    heads = [np.zeros(count) for _ in layers]
    columns = [np.zeros(layer.output.dense.weight.shape[1]) for layer in layers]
    for loss in losses:
        encoder.zero_grad()
        loss().backward()
        for i, layer in enumerate(layers):
            heads[i] += _gates(layer.attention.output.dense.weight).reshape(count, -1).sum(1).abs().numpy()
            columns[i] += _gates(layer.output.dense.weight).abs().numpy()
    encoder.zero_grad()
    return Importance(heads, columns)


def _gates(weight: torch.nn.Parameter) -> torch.Tensor:
    """The gradient (K) of a gate at each input of a linear layer (M, K)."""
    assert weight.grad is not None
    return (weight.detach() * weight.grad).sum(0)


def _most(importance: Array, count: int) -> Array:
    """Places of the `count` largest, in their order."""
    return np.sort(np.argsort(-importance, kind="stable")[:count])


def _rows_of_heads(heads: Array, width: int) -> Array:
    return (heads[:, None] * width + np.arange(width)).ravel()


def _part(name: str, array: Array, rows: Array, columns: Array) -> Array:
    """What stays of one tensor of a layer."""
    if name.startswith("attention.self."):
        return array[rows]
    if name == "attention.output.dense.weight":
        return array[:, rows]
    if name.startswith("intermediate.dense."):
        return array[columns]
    return array[:, columns] if name == "output.dense.weight" else array
