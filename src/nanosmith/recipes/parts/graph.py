"""An encoder with a linear head as one ONNX graph, built node by node from its weights.

Built rather than traced: the graph holds only what a prediction needs, every linear layer can be int8 or float32 on its
own, and building takes a fraction of a second. `input_ids` (B, T) int64 → `logits` (B, L) and `embedding` (B, D),
the pooled vector at length 1, which the head reads, float32; rows are not padded, so there is no mask. Operators: ONNX
opset 18 and com.microsoft 1 (ONNX Runtime). With a Tagger there are also `tags` (B, T, C) float32, scores of every
token, and where it says so `codes` (B, T) int64, whose vectors are added to the embeddings, and `tokens` (B, T, D),
each token's vector.

A linear layer has one of four modes:
int8     weights per output channel, activations dynamic per tensor (DynamicQuantizeMatMul). Weights use 7 bits (±64),
         so that the 16-bit sums of CPUs without VNNI cannot saturate. Outlier channels of the input are first divided
         by a factor that the weights take back (SmoothQuant, Xiao et al. 2023): docs/decisions/0004
int4     the same arithmetic; the int8 weights are kept in four bits each (predict/packed.py) and made when the graph
         is opened: nodes that hang on constants alone, which runtimes compute once
block8   weights and activations in blocks of 64 channels, each with its own scale (MatMulNBits): less error, slower
float32  as trained
Embeddings are int8 with one scale per token, unless every layer is float32. With an int4 layer those of tokens are in
four bits too, and those of places in int8.

Letters: B batch, T tokens, D width, L labels, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from nanosmith.predict.graph_names import CODE_INPUT, EMBEDDING, INPUT, OUTPUT, TAGS, TOKENS
from nanosmith.predict.packed import BLOCK as STEP_BLOCK
from nanosmith.predict.packed import MIDDLE, UNIT
from nanosmith.recipes.parts.int4 import pack_columns, pack_rows
from nanosmith.version import __version__

MS = "com.microsoft"
OPSET, IR_VERSION = 18, 9
WEIGHT_MAX = 64  # 255 · 64 · 2 < 2^15
SMOOTHING = 0.8  # exponent of the activations' share in the smoothing factor
BLOCK = 64
Array = NDArray[Any]
Mode: TypeAlias = Literal["int8", "int4", "block8", "float32"]


class Tagger(NamedTuple):
    """A vector per code (codes, D), or None for a graph without codes, and the head of tokens: weight (D, C) and bias
    (C), C may be 0. `tokens`: the tokens' own vectors are an output too."""

    table: Array | None
    weight: Array
    bias: Array
    tokens: bool = False


def linear_names(layers: int) -> list[str]:
    """The names of all linear layers, in order, as `build` and the parity gate call them."""
    return [f"{layer}.{part}" for layer in range(layers) for part in ("qkv", "attention_out", "up", "down")]


def build(
    weights: Mapping[str, Array],
    head: tuple[Array, Array] | None,
    config: Mapping[str, Any],
    *,
    pooling: str,
    max_tokens: int,
    modes: Mapping[str, Mode],
    ranges: Mapping[str, Array],
    tagger: Tagger | None = None,
    moments: Mapping[str, Array] | None = None,
) -> onnx.ModelProto:
    """The graph of a BERT-like encoder.

    `weights` are the encoder's float32 tensors by their Hugging Face names; `head` is weight (D, L) and bias (L),
    or None for a graph that gives `embedding` alone; `modes` has a mode for each of `linear_names`, `ranges` the
    largest absolute input (K) that each linear layer saw (needed for int8 and int4), `moments` the mean products (K, K)
    of these inputs (int4 loses more without).
    """
    graph = _Graph(modes, ranges, moments or {})
    hidden = _embed(graph, weights, config, max_tokens, set(modes.values()))
    inputs = [INPUT]
    if tagger and tagger.table is not None:
        inputs.append(CODE_INPUT)
        hidden = graph.add("Add", [hidden, graph.add("Gather", [graph.constant(tagger.table), CODE_INPUT])])
    for layer in range(int(config["num_hidden_layers"])):
        hidden = _layer(graph, weights, config, layer, hidden)
    if pooling == "cls":
        vector = graph.add("Gather", [hidden, graph.constant(np.array(0, np.int64))], axis=1)
    else:
        vector = graph.add("ReduceMean", [hidden, graph.constant(np.array([1], np.int64))], keepdims=0)
    outputs: dict[str, list[str | int]] = {}
    embedding = graph.add("LpNormalization", [vector], outputs=[EMBEDDING], axis=-1, p=2)
    if head is not None:
        graph.add("Gemm", [embedding, graph.constant(head[0]), graph.constant(head[1])], outputs=[OUTPUT])
        outputs[OUTPUT] = ["B", head[0].shape[1]]
    if tagger and tagger.bias.size:
        scores = graph.add("MatMul", [hidden, graph.constant(tagger.weight)])
        graph.add("Add", [scores, graph.constant(tagger.bias)], outputs=[TAGS])
        outputs[TAGS] = ["B", "T", tagger.bias.size]
    if tagger and tagger.tokens:
        graph.add("Identity", [hidden], outputs=[TOKENS])
        outputs[TOKENS] = ["B", "T", int(config["hidden_size"])]
    outputs[EMBEDDING] = ["B", int(config["hidden_size"])]
    return graph.model(inputs, outputs)


class _Graph:
    """Collects nodes and constants, naming them in order."""

    def __init__(self, modes: Mapping[str, Mode], ranges: Mapping[str, Array], moments: Mapping[str, Array]) -> None:
        self._modes, self._ranges, self._moments = modes, ranges, moments
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: Array) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def add(
        self, op: str, inputs: list[str], domain: str = "", outputs: list[str] | None = None, **attributes: Any
    ) -> str:
        names = outputs or [f"n{len(self._nodes)}"]
        self._nodes.append(helper.make_node(op, inputs, names, domain=domain, **attributes))
        return names[0]

    def linear(self, name: str, x: str, weight: Array, bias: Array | None = None) -> str:
        """x (B, T, K) @ weight (K, M) + bias (M)."""
        if self._modes[name] in ("int8", "int4"):
            return self._int8(name, x, weight, bias)
        if self._modes[name] == "block8" and weight.shape[0] % BLOCK == 0:
            product = self._block8(x, weight)
        else:
            product = self.add("MatMul", [x, self.constant(weight)])
        return product if bias is None else self.add("Add", [product, self.constant(bias)])

    def _int8(self, name: str, x: str, weight: Array, bias: Array | None) -> str:
        factors = smoothing_factors(weight, self._ranges[name])  # (K)
        smooth = self.add("Mul", [x, self.constant(1 / factors)])
        if self._modes[name] == "int4" and len(weight) % UNIT == 0:
            moments = self._moments.get(name)  # of inputs that are not smoothed
            of_smooth = None if moments is None else moments / np.outer(factors, factors)
            packed, scales = pack_columns(weight * factors[:, None], of_smooth)
            quantised = self.unpacked(packed)
        else:
            whole, scales = quantise_columns(weight * factors[:, None])
            quantised = self.constant(whole)
        inputs = [smooth, quantised, self.constant(scales), ""]
        return self.add("DynamicQuantizeMatMul", inputs + ([self.constant(bias)] if bias is not None else []), MS)

    def unpacked(self, packed: Array) -> str:
        """int8 weights (K, M), as packed.unpack makes them."""

        def shape(*sizes: int) -> str:
            return self.constant(np.array(sizes, np.int64))

        rows, columns = 2 * len(packed), packed.shape[1]
        blocks = rows // (STEP_BLOCK + 1)
        inner = blocks * STEP_BLOCK
        both, four = self.constant(packed), self.constant(np.array(4, np.uint8))
        low = self.add("Mod", [both, self.constant(np.array(16, np.uint8))])
        high = self.add("BitShift", [both, four], direction="RIGHT")
        parts = [f"n{len(self._nodes)}.numbers", f"n{len(self._nodes)}.steps"]
        self.add("Split", [self.add("Concat", [low, high], axis=0), shape(inner, blocks)], outputs=parts, axis=0)
        sizes = (blocks, STEP_BLOCK, columns), (blocks, 1, columns)
        numbers, steps = (  # as late as can be: a runtime has all of what it computes once in memory
            self.add("Cast", [self.add("Reshape", [part, shape(*size)])], to=TensorProto.INT32)
            for part, size in zip(parts, sizes)
        )
        middled = self.add("Sub", [numbers, self.constant(np.array(MIDDLE, np.int32))])
        weights = self.add("Cast", [self.add("Mul", [middled, steps])], to=TensorProto.INT8)
        return self.add("Reshape", [weights, shape(inner, columns)])

    def _block8(self, x: str, weight: Array) -> str:
        inner, outer = weight.shape
        blocks = weight.T.reshape(outer, inner // BLOCK, BLOCK)
        scales = np.abs(blocks).max(axis=2) / 127
        scales[scales == 0] = 1
        shifted = (np.round(blocks / scales[..., None]) + 128).astype(np.uint8)
        inputs = [x, self.constant(shifted), self.constant(scales.astype(np.float32))]
        sizes = {"K": inner, "N": outer, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
        return self.add("MatMulNBits", inputs, MS, **sizes)

    def model(self, names: Sequence[str], shapes: Mapping[str, Sequence[str | int]]) -> onnx.ModelProto:
        """The graph with inputs (B, T) of these names, and outputs of these shapes by name."""
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in names]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        graph = helper.make_graph(self._nodes, "encoder", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MS, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="nanosmith",
                                 producer_version=__version__)  # fmt: skip


def quantise_columns(weight: Array) -> tuple[Array, Array]:
    """int8 (K, M) in ±WEIGHT_MAX and one float32 scale per column (M)."""
    scales = np.abs(weight).max(axis=0) / WEIGHT_MAX
    scales[scales == 0] = 1
    return np.round(weight / scales).astype(np.int8), scales.astype(np.float32)


def smoothing_factors(weight: Array, largest: Array) -> Array:
    """Divisors (K) of the input channels of weight (K, M), with mean 1; `largest` (K) is the largest input seen."""
    factors = np.maximum(largest, 1e-5) ** SMOOTHING / np.maximum(np.abs(weight).max(axis=1), 1e-5) ** (1 - SMOOTHING)
    result: Array = (factors / factors.mean()).astype(np.float32)
    return result


def quantise_rows(table: Array) -> tuple[Array, Array]:
    """int8 (V, D) in ±127 and one float32 scale per row (V)."""
    scales = np.abs(table).max(axis=1, initial=0) / 127
    scales[scales == 0] = 1
    return np.round(table / scales[:, None]).astype(np.int8), scales.astype(np.float32)


def _embed(
    graph: _Graph, weights: Mapping[str, Array], config: Mapping[str, Any], max_tokens: int, modes: set[Mode]
) -> str:
    table = weights["embeddings.word_embeddings.weight"]  # (V, D)
    packs = "int4" in modes and table.shape[1] % UNIT == 0
    if modes == {"float32"}:
        words = graph.add("Gather", [graph.constant(table), INPUT])
    else:
        if packs:
            packed, scales = pack_rows(table)
            rows = graph.add("Transpose", [graph.unpacked(packed)], perm=[1, 0])
        else:
            whole, scales = quantise_rows(table)
            rows = graph.constant(whole)
        picked = graph.add("Cast", [graph.add("Gather", [rows, INPUT])], to=TensorProto.FLOAT)
        words = graph.add("Mul", [picked, graph.add("Gather", [graph.constant(scales[:, None]), INPUT])])
    # RoBERTa counts positions from the padding index + 1; the only token type used is 0.
    first = int(config["pad_token_id"]) + 1 if config["model_type"] != "bert" else 0
    positions = weights["embeddings.position_embeddings.weight"][first : first + max_tokens]
    positions = positions + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.add("Shape", [INPUT], start=1, end=2)
    zero = graph.constant(np.array([0], np.int64))
    places = graph.add("Slice", [_places(graph, positions, packs), zero, length, zero])  # (T, D)
    norm = [graph.constant(weights[f"embeddings.LayerNorm.{part}"]) for part in ("weight", "bias")]
    return graph.add("LayerNormalization", [graph.add("Add", [words, places]), *norm], epsilon=_epsilon(config))


def _places(graph: _Graph, positions: Array, packs: bool) -> str:
    """The vectors of places; with `packs` they are int8 in the file."""
    if not packs:
        return graph.constant(positions)
    rows, scales = quantise_rows(positions)
    floats = graph.add("Cast", [graph.constant(rows)], to=TensorProto.FLOAT)
    return graph.add("Mul", [floats, graph.constant(scales[:, None])])


def _layer(graph: _Graph, weights: Mapping[str, Array], config: Mapping[str, Any], layer: int, x: str) -> str:
    """One post-norm transformer layer (Vaswani et al. 2017; Devlin et al. 2019)."""

    def part(name: str) -> Array:
        return weights[f"encoder.layer.{layer}.{name}"]

    def add_and_norm(y: str, bias: Array, norm: str) -> str:
        scale, shift = graph.constant(part(f"{norm}.weight")), graph.constant(part(f"{norm}.bias"))
        inputs = [y, x, scale, shift, graph.constant(bias)]
        return graph.add("SkipLayerNormalization", inputs, MS, epsilon=_epsilon(config))

    names = [f"attention.self.{which}" for which in ("query", "key", "value")]
    merged = np.concatenate([part(f"{name}.weight").T for name in names], axis=1)  # (D, 3D)
    biases = np.concatenate([part(f"{name}.bias") for name in names])
    qkv = graph.linear(f"{layer}.qkv", x, merged, biases)
    thirds = [f"{layer}.q", f"{layer}.k", f"{layer}.v"]
    graph.add("Split", [qkv], outputs=thirds, axis=-1, num_outputs=3)
    mixed = graph.add("MultiHeadAttention", thirds, MS, num_heads=int(config["num_attention_heads"]))
    y = graph.linear(f"{layer}.attention_out", mixed, part("attention.output.dense.weight").T)
    x = add_and_norm(y, part("attention.output.dense.bias"), "attention.output.LayerNorm")
    y = graph.linear(f"{layer}.up", x, part("intermediate.dense.weight").T)
    y = graph.add("BiasGelu", [y, graph.constant(part("intermediate.dense.bias"))], MS)
    y = graph.linear(f"{layer}.down", y, part("output.dense.weight").T)
    return add_and_norm(y, part("output.dense.bias"), "output.LayerNorm")


def _epsilon(config: Mapping[str, Any]) -> float:
    return float(config["layer_norm_eps"])
