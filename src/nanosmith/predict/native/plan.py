"""From the graph that recipes/parts/graph.py writes to what the kernel takes.

The graph is walked node by node, and each node must be what is written there, wired as there: a graph that is anything
else is not known here, and runs in ONNX Runtime.

Letters: D width, K inputs and N outputs of a linear layer, V vocabulary, L labels, C tags.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanosmith.predict.graph_names import CODE_INPUT, EMBEDDING, INPUT, OUTPUT, TAGS, TOKENS
from nanosmith.predict.native.onnx_file import Graph, Node

MS = "com.microsoft."
Array = NDArray[Any]


class UnknownGraph(ValueError):
    """A graph that the kernel does not know; the message says where it is different."""


class Linear(NamedTuple):
    """weight (K, N) int8, scale (N), factor (K), bias (N) or None."""

    weight: Array
    scale: Array
    factor: Array
    bias: Array | None


class Layer(NamedTuple):
    """The parts of a layer; norms are scale and shift (D)."""

    qkv: Linear
    attention_out: Linear
    up: Linear
    down: Linear
    norm1: tuple[Array, Array]
    norm2: tuple[Array, Array]
    heads: int


class Head(NamedTuple):
    """weight (D, L), bias (L)."""

    weight: Array
    bias: Array


class Plan(NamedTuple):
    """An encoder: words (V, D) int8, word_scales (V), positions (tokens, D), and so on."""

    words: Array
    word_scales: Array
    positions: Array
    norm: tuple[Array, Array]
    epsilon: float
    codes: Array | None
    layers: list[Layer]
    pools_first: bool
    head: Head | None
    tags: Head | None
    gives_tokens: bool

    @property
    def outputs(self) -> dict[str, int]:
        """The width of each output by name."""
        width = self.words.shape[1]
        found = {OUTPUT: self.head.bias.size} if self.head else {}
        found |= {TAGS: self.tags.bias.size} if self.tags else {}
        return found | ({TOKENS: width} if self.gives_tokens else {}) | {EMBEDDING: width}


def plan_of(graph: Graph) -> Plan:
    """Raises UnknownGraph where a node is not what `graph.build` writes."""
    walk = _Walk(graph)
    words, scales, positions, norm, epsilon, hidden = _embed(walk)
    codes = None
    if CODE_INPUT in graph.inputs:
        looked_up, (codes,) = walk.take("Gather", None, CODE_INPUT)
        hidden, _ = walk.take("Add", hidden, looked_up)
    layers = []
    while walk.next_is("Mul"):
        layer, hidden = _layer(walk, hidden, epsilon)
        layers.append(layer)
    pools_first = walk.next_is("Gather")
    vector, (axis,) = walk.take("Gather", hidden, None) if pools_first else walk.take("ReduceMean", hidden, None)
    walk.expect(axis.tolist() == (0 if pools_first else [1]))
    walk.expect(walk.last.attributes == ({"axis": 1} if pools_first else {"keepdims": 0}))
    embedding, _ = walk.take("LpNormalization", vector)
    head = _head(walk, embedding) if walk.next_is("Gemm") else None
    tags = _tags(walk, hidden) if walk.next_is("MatMul") else None
    gives_tokens = walk.next_is("Identity")
    if gives_tokens:
        out, _ = walk.take("Identity", hidden)
        walk.expect(out == TOKENS)
    walk.expect(walk.at_end)
    plan = Plan(words, scales, positions, norm, epsilon, codes, layers, pools_first, head, tags, gives_tokens)
    walk.expect(set(plan.outputs) == set(graph.outputs) and embedding == EMBEDDING)
    return plan


class _Walk:
    """Goes through nodes in order."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._place = graph, 0

    @property
    def at_end(self) -> bool:
        return self._place == len(self._graph.nodes)

    @property
    def last(self) -> Node:
        """The node that was taken last."""
        return self._graph.nodes[self._place - 1]

    def next_is(self, op: str) -> bool:
        return not self.at_end and self._graph.nodes[self._place].op == op

    def take(self, op: str, *wanted: str | None) -> tuple[str, list[Array]]:
        """The first output of the next node, and its constants. Its inputs must be the `wanted` names; None stands for
        a constant, "" for one that is left out."""
        if not self.next_is(op):
            found = "the end" if self.at_end else self._graph.nodes[self._place].op
            raise UnknownGraph(f"node {self._place} is {found} where {op} is known")
        node = self._graph.nodes[self._place]
        self._place += 1
        self.expect(len(node.inputs) == len(wanted))
        constants = []
        for name, known in zip(node.inputs, wanted):
            self.expect(name in self._graph.constants if known is None else name == known)
            if known is None:
                constants.append(self._graph.constants[name])
        return node.outputs[0], constants

    def expect(self, holds: bool) -> None:
        if not holds:
            raise UnknownGraph(f"node {self._place - 1} is not as it is known")


def _embed(walk: _Walk) -> tuple[Array, Array, Array, tuple[Array, Array], float, str]:
    rows, (words,) = walk.take("Gather", None, INPUT)
    walk.expect(words.dtype == np.int8 and words.ndim == 2)
    rows, _ = walk.take("Cast", rows)
    picked, (scales,) = walk.take("Gather", None, INPUT)
    scaled, _ = walk.take("Mul", rows, picked)
    length, _ = walk.take("Shape", INPUT)
    places, (positions, start, axis) = walk.take("Slice", None, None, length, None)
    walk.expect(start.tolist() == [0] and axis.tolist() == [0])
    total, _ = walk.take("Add", scaled, places)
    hidden, norm = walk.take("LayerNormalization", total, None, None)
    return words, scales, positions, (norm[0], norm[1]), _epsilon(walk), hidden


def _layer(walk: _Walk, x: str, epsilon: float) -> tuple[Layer, str]:
    qkv_out, qkv = _linear(walk, x, bias=True)
    walk.take("Split", qkv_out)
    thirds = walk.last.outputs
    mixed, _ = walk.take(MS + "MultiHeadAttention", *thirds)
    heads = walk.last.attributes.get("num_heads")
    walk.expect(isinstance(heads, int) and walk.last.attributes == {"num_heads": heads} and len(thirds) == 3)
    y, attention_out = _linear(walk, mixed, bias=False)
    x, norm1, bias1 = _add_and_norm(walk, y, x, epsilon)
    y, up = _linear(walk, x, bias=False)
    y, (up_bias,) = walk.take(MS + "BiasGelu", y, None)
    y, down = _linear(walk, y, bias=False)
    x, norm2, bias2 = _add_and_norm(walk, y, x, epsilon)
    return Layer(
        qkv, attention_out._replace(bias=bias1), up._replace(bias=up_bias), down._replace(bias=bias2), norm1, norm2,
        int(heads or 0),
    ), x  # fmt: skip


def _linear(walk: _Walk, x: str, *, bias: bool) -> tuple[str, Linear]:
    smooth, (factor,) = walk.take("Mul", x, None)
    given = [smooth, None, None, "", *([None] if bias else [])]
    out, (weight, scale, *added) = walk.take(MS + "DynamicQuantizeMatMul", *given)
    walk.expect(weight.dtype == np.int8 and weight.ndim == 2)
    return out, Linear(weight, scale, factor, added[0] if added else None)


def _add_and_norm(walk: _Walk, y: str, x: str, epsilon: float) -> tuple[str, tuple[Array, Array], Array]:
    out, (scale, shift, bias) = walk.take(MS + "SkipLayerNormalization", y, x, None, None, None)
    walk.expect(_epsilon(walk) == epsilon)
    return out, (scale, shift), bias


def _head(walk: _Walk, embedding: str) -> Head:
    out, (weight, bias) = walk.take("Gemm", embedding, None, None)
    walk.expect(out == OUTPUT and not walk.last.attributes)
    return Head(weight, bias)


def _tags(walk: _Walk, hidden: str) -> Head:
    scores, (weight,) = walk.take("MatMul", hidden, None)
    out, (bias,) = walk.take("Add", scores, None)
    walk.expect(out == TAGS)
    return Head(weight, bias)


def _epsilon(walk: _Walk) -> float:
    return float(walk.last.attributes.get("epsilon", 1e-5))
