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
from nanosmith.predict.native.onnx_file import Graph
from nanosmith.predict.native.walk import MS, Walk
from nanosmith.predict.packed import BLOCK, MIDDLE, unpack

FLOAT, INT8, INT32 = 1, 3, 6  # types in ONNX
Array = NDArray[Any]


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
    walk = Walk(graph)
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


def _embed(walk: Walk) -> tuple[Array, Array, Array, tuple[Array, Array], float, str]:
    name, packed = _packed(walk)
    if packed is not None:
        name, _ = walk.take("Transpose", name)
    rows, constants = walk.take("Gather", name, INPUT)
    words = constants[0] if packed is None else np.ascontiguousarray(packed.T)
    walk.expect(words.dtype == np.int8 and words.ndim == 2)
    rows, _ = walk.take("Cast", rows)
    picked, (scales,) = walk.take("Gather", None, INPUT)
    scaled, _ = walk.take("Mul", rows, picked)
    length, _ = walk.take("Shape", INPUT)
    name, positions = _int8_places(walk)
    places, constants = walk.take("Slice", name, None, length, None)
    *given, start, axis = constants
    positions = given[0] if positions is None else positions
    walk.expect(start.tolist() == [0] and axis.tolist() == [0])
    total, _ = walk.take("Add", scaled, places)
    hidden, norm = walk.take("LayerNormalization", total, None, None)
    return words, scales, positions, (norm[0], norm[1]), _epsilon(walk), hidden


def _layer(walk: Walk, x: str, epsilon: float) -> tuple[Layer, str]:
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


def _linear(walk: Walk, x: str, *, bias: bool) -> tuple[str, Linear]:
    smooth, (factor,) = walk.take("Mul", x, None)
    name, packed = _packed(walk)
    given = [smooth, name, None, "", *([None] if bias else [])]
    out, constants = walk.take(MS + "DynamicQuantizeMatMul", *given)
    weight, scale, *added = constants if packed is None else [packed, *constants]
    walk.expect(weight.dtype == np.int8 and weight.ndim == 2)
    return out, Linear(weight, scale, factor, added[0] if added else None)


def _packed(walk: Walk) -> tuple[str | None, Array | None]:
    """Name and value (K, M) of int8 weights that the next nodes make of four-bit ones, if they do."""
    if not walk.next_is("Mod"):
        return None, None
    low, (packed, sixteen) = walk.take("Mod", None, None)
    high, (again, four) = walk.take("BitShift", None, None)
    walk.expect(packed is again and packed.dtype == np.uint8 and packed.ndim == 2)
    walk.expect(sixteen == 16 and four == 4 and walk.last.attributes == {"direction": "RIGHT"})
    weights = unpack(packed)
    (inner, columns), blocks = weights.shape, len(weights) // BLOCK
    joined, _ = walk.take("Concat", low, high)
    name, (sizes,) = walk.take("Split", joined, None)
    walk.expect(sizes.tolist() == [inner, blocks] and walk.last.attributes == {"axis": 0})
    steps = walk.last.outputs[1]
    numbers, steps = _whole(walk, name, [blocks, BLOCK, columns]), _whole(walk, steps, [blocks, 1, columns])
    middled, (middle,) = walk.take("Sub", numbers, None)
    name, _ = walk.take("Mul", middled, steps)
    name, _ = walk.take("Cast", name)
    walk.expect(middle == MIDDLE and walk.last.attributes == {"to": INT8})
    name, (shape,) = walk.take("Reshape", name, None)
    walk.expect(shape.tolist() == [inner, columns])
    return name, weights


def _whole(walk: Walk, name: str, wanted: list[int]) -> str:
    """What is called so, in another shape and in 32 bits."""
    shaped, (shape,) = walk.take("Reshape", name, None)
    walk.expect(shape.tolist() == wanted)
    name, _ = walk.take("Cast", shaped)
    walk.expect(walk.last.attributes == {"to": INT32})
    return name


def _int8_places(walk: Walk) -> tuple[str | None, Array | None]:
    """Name and value of the vectors of places that the next nodes make of int8 ones, if they do."""
    if not walk.next_is("Cast"):
        return None, None
    floats, (rows,) = walk.take("Cast", None)
    walk.expect(rows.dtype == np.int8 and walk.last.attributes == {"to": FLOAT})
    name, (scales,) = walk.take("Mul", floats, None)
    return name, rows * scales


def _add_and_norm(walk: Walk, y: str, x: str, epsilon: float) -> tuple[str, tuple[Array, Array], Array]:
    out, (scale, shift, bias) = walk.take(MS + "SkipLayerNormalization", y, x, None, None, None)
    walk.expect(_epsilon(walk) == epsilon)
    return out, (scale, shift), bias


def _head(walk: Walk, embedding: str) -> Head:
    out, (weight, bias) = walk.take("Gemm", embedding, None, None)
    walk.expect(out == OUTPUT and not walk.last.attributes)
    return Head(weight, bias)


def _tags(walk: Walk, hidden: str) -> Head:
    scores, (weight,) = walk.take("MatMul", hidden, None)
    out, (bias,) = walk.take("Add", scores, None)
    walk.expect(out == TAGS)
    return Head(weight, bias)


def _epsilon(walk: Walk) -> float:
    return float(walk.last.attributes.get("epsilon", 1e-5))
