"""A sealed bundle's scores as a function of its token vectors, in torch, and the gradients of it: for bench/explain.py.

Letters: T tokens, D width, L labels, S steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from torch.nn import functional

from nanosmith.predict.graph_names import GRAPH_FILE, INPUT, OUTPUT
from nanosmith.predict.local import TOKENIZER_FILE, LocalPredictor
from nanosmith.predict.static import WEIGHTS_FILE

Scorer = tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], torch.Tensor]
"""Token vectors (V, D); vectors (B, T, D) to scores (B, L); the vector (D) that stands for no token."""


def scorer_of(predictor: LocalPredictor) -> Scorer:
    if predictor.special_tokens:
        return _encoder(predictor)
    stored = load_file(predictor.bundle.file(WEIGHTS_FILE))
    tensors = {name: torch.from_numpy(array).float() for name, array in stored.items()}
    table = tensors["embeddings"] * tensors["scales"][:, None]

    def scores(vectors: torch.Tensor) -> torch.Tensor:
        total = vectors.sum(1)
        return total / (total.norm(dim=1, keepdim=True) + 1e-6) @ tensors["weight"] + tensors["bias"]

    return table, scores, torch.zeros(table.shape[1])


def token_id(predictor: LocalPredictor, token: str) -> int | None:
    """None where the model has no use for such a token."""
    tokenizer = Tokenizer.from_file(str(predictor.bundle.file(TOKENIZER_FILE)))
    found: int | None = tokenizer.token_to_id(token) if predictor.special_tokens else None
    return found


def gradient_times_input(scorer: Scorer, ids: list[int], is_word: list[bool], label: int) -> np.ndarray:
    return _along(scorer, ids, is_word, label, torch.ones(1))


def integrated_gradients(steps: int) -> Callable[[Scorer, list[int], list[bool], int], np.ndarray]:
    """Sundararajan et al. 2017, at the middle of each step; from the vectors of padding, special tokens staying."""
    places = (torch.arange(steps) + 0.5) / steps
    return lambda scorer, ids, is_word, label: _along(scorer, ids, is_word, label, places)


def _along(scorer: Scorer, ids: list[int], is_word: list[bool], label: int, places: torch.Tensor) -> np.ndarray:
    """Mean gradient of the log-odds at places (S) between nothing and the text, times the way: values (T)."""
    table, scores, nothing = scorer
    vectors = table[torch.tensor(ids)]  # (T, D)
    start = torch.where(torch.tensor(is_word)[:, None], nothing, vectors)
    points = (start + places[:, None, None] * (vectors - start)).requires_grad_()  # (S, T, D)
    found = scores(points)
    others = torch.cat([found[:, :label], found[:, label + 1 :]], dim=1)
    [gradient] = torch.autograd.grad((found[:, label] - others.logsumexp(1)).sum(), points)
    return (gradient.mean(0) * (vectors - start)).sum(1).double().numpy()


def _encoder(predictor: LocalPredictor) -> Scorer:
    model = onnx.load(str(predictor.bundle.file(GRAPH_FILE)))
    constants = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in model.graph.initializer}
    rows, scales = (constants[name] for name in _tables(model))
    table = rows.float() * scales

    def scores(vectors: torch.Tensor) -> torch.Tensor:
        return _run(model, constants, vectors)

    return table, scores, table[token_id(predictor, "[PAD]") or 0]


def _tables(model: Any) -> list[str]:
    return [node.input[0] for node in model.graph.node if node.op_type == "Gather" and node.input[1] == INPUT]


def _run(model: Any, constants: dict[str, torch.Tensor], vectors: torch.Tensor) -> torch.Tensor:
    """The graph from its token vectors (B, T, D) on, in float32; int8 weights are made floats again."""
    values: dict[str, Any] = dict(constants)
    started = False
    for node in model.graph.node:
        given = [values.get(name) for name in node.input]
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if not started:  # the product of the gathered rows and scales is what is given
            started = node.op_type == "Mul"
            values[node.output[0]] = vectors
        elif node.op_type == "Split":
            values.update(zip(node.output, given[0].chunk(len(node.output), -1)))
        elif node.op_type == "Shape":
            continue
        else:
            values[node.output[0]] = OPERATORS[node.op_type](given, attributes, vectors.shape[1])
        if node.output[0] == OUTPUT:
            break
    return values[OUTPUT]


def _attention(given: list[Any], attributes: dict[str, Any], tokens: int) -> torch.Tensor:
    heads = [x.unflatten(-1, (attributes["num_heads"], -1)).transpose(1, 2) for x in given]
    return functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)


def _quantised(given: list[Any], attributes: dict[str, Any], tokens: int) -> torch.Tensor:
    bias = given[4] if len(given) > 4 else 0
    return given[0] @ (given[1].float() * given[2]) + bias


def _norm(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, epsilon: float) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], scale, shift, epsilon)


OPERATORS: dict[str, Callable[[list[Any], dict[str, Any], int], torch.Tensor]] = {
    "Slice": lambda g, a, tokens: g[0][:tokens],
    "Add": lambda g, a, tokens: g[0] + g[1],
    "Mul": lambda g, a, tokens: g[0] * g[1],
    "MatMul": lambda g, a, tokens: g[0] @ g[1],
    "Gemm": lambda g, a, tokens: g[0] @ g[1] + g[2],
    "ReduceMean": lambda g, a, tokens: g[0].mean(1),
    "BiasGelu": lambda g, a, tokens: functional.gelu(g[0] + g[1]),
    "LayerNormalization": lambda g, a, tokens: _norm(*g, a["epsilon"]),
    "SkipLayerNormalization": lambda g, a, tokens: _norm(g[0] + g[1] + g[4], g[2], g[3], a["epsilon"]),
    "MultiHeadAttention": _attention,
    "DynamicQuantizeMatMul": _quantised,
}
