"""From the graph that recipes/parts/decoder_export.py writes to what the kernel takes: decoders built as Llama is, with
linear layers of 4 or 8 bits. Others are not known here, and run in ONNX Runtime.

Letters: V vocabulary, D width, K inputs and N outputs of a linear layer, W width of a head, T positions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanosmith.predict.native.onnx_file import Graph
from nanosmith.predict.native.walk import MS, Walk

BLOCK = 32
PRELUDE = ("Constant", "ReduceSum", "Sub", "Cast", "Shape", "Gather", MS + "Reshape", "Reshape")
"""What the builder makes of the attention mask: how many tokens there are, and how many came before."""
ATTENTION = {"local_window_size": -1, "softcap": 0.0, "do_rotary": 1, "rotary_interleaved": 0}
Array = NDArray[Any]


class BlockLinear(NamedTuple):
    """weight (N, K / 32, 4 · bits) uint8, scale (N, K / 32), and the name of its place for an adapter."""

    weight: Array
    scale: Array
    bits: int
    lora: str = ""


class DecoderLayer(NamedTuple):
    """`linear` are qkv, attention_out, gate, up and down; norms (D)."""

    norm1: Array
    linear: tuple[BlockLinear, ...]
    norm2: Array


class Attention(NamedTuple):
    """The same in all layers; cosine and sine (T, W / 2)."""

    heads: int
    groups: int
    scale: float
    cosine: Array
    sine: Array


class DecoderPlan(NamedTuple):
    """A decoder; `words` (V, D), or None where they are the head's."""

    words: Array | None
    attention: Attention
    epsilon: float
    layers: list[DecoderLayer]
    norm: Array
    head: BlockLinear


def decoder_plan_of(graph: Graph) -> DecoderPlan:
    """Raises UnknownGraph where a node is not what the builder writes for such a decoder."""
    walk = Walk(graph)
    words, table, residual = _embed(walk, graph)
    x, (norm,) = walk.take("SimplifiedLayerNormalization", residual, None)
    epsilon = _epsilon(walk)
    layers: list[DecoderLayer] = []
    attention: Attention | None = None
    while walk.next_is(MS + "MatMulNBits"):
        y, qkv = _linear(walk, x)
        y, same = _attend(walk, y, len(layers))
        walk.expect(attention is None or _equal(attention, same))
        attention = same
        y, out = _linear(walk, y)
        x, residual, norm2 = _add_and_norm(walk, residual, y, epsilon)
        y, mlp = _mlp(walk, x)
        layers.append(DecoderLayer(norm, (qkv, out, *mlp), norm2))
        x, residual, norm = _add_and_norm(walk, residual, y, epsilon)
        if walk.next_is("Gather"):
            break
    walk.expect(attention is not None)
    assert attention is not None
    rows, _ = walk.take("Gather", x, None)
    walk.expect(walk.last.inputs[1] == "rows")
    head = _weights(walk, rows)[1]
    walk.expect(walk.at_end and walk.last.outputs == ("logits",))
    walk.expect(table is None or _shares(table, head))
    return DecoderPlan(words, attention, epsilon, layers, norm, head)


def _embed(walk: Walk, graph: Graph) -> tuple[Array | None, BlockLinear | None, str]:
    """The embeddings as they are, or as a head's weights, and the name of the tokens' rows."""
    while not walk.at_end and not walk.next_is(MS + "GatherBlockQuantized"):
        if walk.next_is("Gather") and "input_ids" in walk.next.inputs:
            rows, (words,) = walk.take("Gather", None, "input_ids")
            walk.expect(words.dtype == np.float32 and words.ndim == 2)
            return words, None, rows
        walk.expect(walk.next.op in PRELUDE)
        walk.skip()
    table = walk.next.inputs[0]
    source = next((node for node in graph.nodes if table in node.outputs), None)
    walk.expect(source is not None and source.op == "Reshape" and source.inputs[0] in graph.constants)
    assert source is not None
    rows, (scale,) = walk.take(MS + "GatherBlockQuantized", table, "input_ids", None)
    walk.expect(walk.last.attributes == {"bits": 4, "block_size": BLOCK, "gather_axis": 0, "quantize_axis": 1})
    return None, BlockLinear(graph.constants[source.inputs[0]], scale, 4), rows


def _linear(walk: Walk, x: str) -> tuple[str, BlockLinear]:
    """A layer and the adapter beside it."""
    y, linear = _weights(walk, x)
    inner, _ = walk.take("MatMul", x, None)
    name = walk.last.inputs[1]
    walk.expect(name.endswith(".a"))
    delta, _ = walk.take("MatMul", inner, None)
    walk.expect(walk.last.inputs[1] == name[:-1] + "b")
    total, _ = walk.take("Add", y, delta)
    return total, linear._replace(lora=name.removesuffix(".a"))


def _weights(walk: Walk, x: str) -> tuple[str, BlockLinear]:
    y, (weight, scale) = walk.take(MS + "MatMulNBits", x, None, None)
    said = dict(walk.last.attributes)
    said.pop("accuracy_level", None)
    bits = int(said.pop("bits", 4))
    outer, blocks = scale.shape if scale.ndim == 2 else (0, 0)
    walk.expect(said == {"K": blocks * BLOCK, "N": outer, "block_size": BLOCK} and bits in (4, 8))
    walk.expect(weight.dtype == np.uint8 and weight.shape == (outer, blocks, 4 * bits) and scale.dtype == np.float32)
    return y, BlockLinear(weight, scale, bits)


def _attend(walk: Walk, y: str, layer: int) -> tuple[str, Attention]:
    given = walk.next.inputs
    walk.expect(len(given) == 12 and given[5].endswith("output_0") and given[6].endswith("output_0"))
    past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
    out, (cosine, sine) = walk.take(
        MS + "GroupQueryAttention", y, "", "", *past, given[5], given[6], None, None, "", "", ""
    )
    said = dict(walk.last.attributes)
    heads, groups = int(said.pop("num_heads", 0)), int(said.pop("kv_num_heads", 0))
    scale = float(said.pop("scale", 0.0))
    walk.expect(said == ATTENTION and heads > 0 and groups > 0 and scale > 0)
    return out, Attention(heads, groups, scale, cosine, sine)


def _mlp(walk: Walk, x: str) -> tuple[str, tuple[BlockLinear, ...]]:
    gate_out, gate = _linear(walk, x)
    up_out, up = _linear(walk, x)
    sigmoid, _ = walk.take("Sigmoid", gate_out)
    active, _ = walk.take("Mul", gate_out, sigmoid)
    y, _ = walk.take("Mul", active, up_out)
    out, down = _linear(walk, y)
    return out, (gate, up, down)


def _add_and_norm(walk: Walk, residual: str, y: str, epsilon: float) -> tuple[str, str, Array]:
    out, (scale,) = walk.take(MS + "SkipSimplifiedLayerNormalization", residual, y, None)
    walk.expect(_epsilon(walk) == epsilon)
    return out, walk.last.outputs[-1], scale


def _equal(one: Attention, other: Attention) -> bool:
    return one[:3] == other[:3] and one.cosine is other.cosine and one.sine is other.sine


def _shares(table: BlockLinear, head: BlockLinear) -> bool:
    """Whether embeddings and head are the same arrays."""
    return head.bits == table.bits and head.weight is table.weight and head.scale is table.scale


def _epsilon(walk: Walk) -> float:
    return float(walk.last.attributes.get("epsilon", 1e-5))
