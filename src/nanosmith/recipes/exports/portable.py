"""The same graph in standard ONNX operators alone, without ONNX Runtime's own (com.microsoft).

`exact` keeps the arithmetic of int8: activations are quantised as they come, token by token, before MatMulInteger.
Without it weights stay int8 and products are in float32, which every converter knows; probabilities then differ a
little from the bundle's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from nanosmith.core.errors import InputError
from nanosmith.recipes.exports.nodes import Nodes
from nanosmith.recipes.parts.graph import MS, OPSET

Array = NDArray[Any]
MASK = "mask"
TINY = 1e-30  # a range of a row without any value
FAR_BELOW = 1e4  # under all scores of attention, also in float16


def portable(model: onnx.ModelProto, *, exact: bool = False, masked: bool = False) -> onnx.ModelProto:
    """A copy without com.microsoft. `masked` adds the input `mask` float32 (1, T), 1 for what is read and 0 for the
    padding behind it, for runtimes whose graphs have one length. Raises InputError for an operator that is not known.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    del found.graph.node[:]
    rewriter = _Rewriter(found.graph, exact, masked)
    for node in model.graph.node:
        rewriter.take(node)
    _drop_unused(found.graph)
    del found.opset_import[:]
    found.opset_import.append(helper.make_opsetid("", OPSET))
    return found


class _Rewriter:
    """Adds nodes, or what stands for them, to `graph`."""

    def __init__(self, graph: onnx.GraphProto, exact: bool, masked: bool) -> None:
        self._nodes = Nodes(graph, "portable")
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._known: dict[str, Callable[[onnx.NodeProto], None]] = {
            "SkipLayerNormalization": self._skip_norm,
            "BiasGelu": self._bias_gelu,
            "MultiHeadAttention": self._attention,
            "DynamicQuantizeMatMul": self._int8_exact if exact else self._int8,
            "MatMulNBits": self._blocks,
        }
        self._masking = self._add_mask() if masked else None

    def take(self, node: onnx.NodeProto) -> None:
        if node.op_type == "ReduceMean" and self._masking:
            self._masked_mean(node)
            return
        if node.domain != MS:
            self._nodes.graph.node.append(node)
            return
        if node.op_type not in self._known:
            raise InputError("this graph has an operator without a standard form", got=f"{node.domain}.{node.op_type}",
                             allowed=", ".join(self._known), remedy="Export to ONNX without --portable.")  # fmt: skip
        self._known[node.op_type](node)

    def _add_mask(self) -> tuple[str, str]:
        """Weights of tokens (1, T, 1), and what is added to the scores of attention (1, 1, 1, T)."""
        graph = self._nodes.graph
        graph.input.append(helper.make_tensor_value_info(MASK, TensorProto.FLOAT, (1, "T")))
        weights = self._nodes.add("Reshape", [MASK, self._nodes.constant(np.array([1, -1, 1], dtype=np.int64))])
        less = self._nodes.add("Mul", [self._nodes.add("Sub", [MASK, self._float(1.0)]), self._float(FAR_BELOW)])
        added = self._nodes.add("Reshape", [less, self._nodes.constant(np.array([1, 1, 1, -1], dtype=np.int64))])
        return weights, added

    def _masked_mean(self, node: onnx.NodeProto) -> None:
        """Over tokens, which is the only mean in these graphs."""
        assert self._masking
        axis = self._nodes.axis(1)
        total = self._nodes.add(
            "ReduceSum", [self._nodes.add("Mul", [node.input[0], self._masking[0]]), axis], keepdims=0
        )
        count = self._nodes.add("ReduceSum", [self._masking[0], axis], keepdims=0)
        self._nodes.add("Div", [total, count], node.output[0])

    def _value(self, name: str) -> Array:
        value: Array = numpy_helper.to_array(self._constants[name])
        return value

    def _float(self, value: float) -> str:
        return self._nodes.constant(np.array(value, dtype=np.float32))

    def _skip_norm(self, node: onnx.NodeProto) -> None:
        x, skip, scale, shift, *bias = node.input
        total = self._nodes.add("Add", [x, skip])
        for name in bias:
            total = self._nodes.add("Add", [total, name])
        epsilon = _attribute(node, "epsilon", 1e-12)
        self._nodes.add("LayerNormalization", [total, scale, shift], node.output[0], epsilon=epsilon)

    def _bias_gelu(self, node: onnx.NodeProto) -> None:
        """x · Φ(x), Φ by the error function (Hendrycks & Gimpel 2016)."""
        x = self._nodes.add("Add", list(node.input))
        erf = self._nodes.add("Erf", [self._nodes.add("Mul", [x, self._float(math.sqrt(0.5))])])
        half = self._nodes.add("Mul", [x, self._float(0.5)])
        self._nodes.add("Mul", [half, self._nodes.add("Add", [erf, self._float(1.0)])], node.output[0])

    def _attention(self, node: onnx.NodeProto) -> None:
        """softmax(q · kᵀ / √d + mask) · v of each head (Vaswani et al. 2017)."""
        if any(node.input[3:5]):
            raise InputError("this form of attention has no standard form here", got=", ".join(node.input[3:5]))
        heads = _attribute(node, "num_heads", 1)
        split = self._nodes.constant(np.array([0, 0, heads, -1], dtype=np.int64))
        turned = [(0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)]
        q, k, v = (
            self._nodes.add("Transpose", [self._nodes.add("Reshape", [name, split])], perm=perm)
            for name, perm in zip(node.input[:3], turned)
        )
        scores = self._nodes.add("MatMul", [q, k])
        scores = self._nodes.add("Mul", [scores, self._scale(node, q)])
        if len(node.input) > 5 and node.input[5]:
            scores = self._nodes.add("Add", [scores, node.input[5]])
        if self._masking:
            scores = self._nodes.add("Add", [scores, self._masking[1]])
        mixed = self._nodes.add("MatMul", [self._nodes.add("Softmax", [scores], axis=-1), v])
        joined = self._nodes.constant(np.array([0, 0, -1], dtype=np.int64))
        rows = self._nodes.add("Transpose", [mixed], perm=(0, 2, 1, 3))
        self._nodes.add("Reshape", [rows, joined], node.output[0])

    def _scale(self, node: onnx.NodeProto, q: str) -> str:
        """1 / √d, of the last size of `q`."""
        if given := _attribute(node, "scale", 0.0):
            return self._float(given)
        size = self._nodes.add("Cast", [self._nodes.add("Shape", [q], start=3, end=4)], to=TensorProto.FLOAT)
        return self._nodes.add("Reciprocal", [self._nodes.add("Sqrt", [size])])

    def _int8_exact(self, node: onnx.NodeProto) -> None:
        """Each token's row x as bytes with a scale and a zero point of its own, as the kernel of the runtime has it."""
        x, weight, scales, bias = self._int8_inputs(node)
        add, zero = self._nodes.add, self._float(0.0)
        low = add("Min", [add("ReduceMin", [x, self._nodes.axis(-1)]), zero])
        high = add("Max", [add("ReduceMax", [x, self._nodes.axis(-1)]), zero])
        wide = add("Max", [add("Sub", [high, low]), self._float(TINY)])
        inverse = add("Div", [self._float(255.0), wide])
        at = add("Round", [add("Mul", [add("Neg", [low]), inverse])])
        whole = add("Round", [add("Add", [add("Mul", [x, inverse]), at])])
        kept = add("Clip", [whole, zero, self._float(255.0)])
        sums = add("MatMulInteger", [add("Cast", [kept], to=TensorProto.UINT8), weight])
        columns = self._nodes.constant(self._value(weight).sum(axis=0, dtype=np.int32))
        shift = add("Mul", [add("Cast", [at], to=TensorProto.INT32), columns])
        product = add("Cast", [add("Sub", [sums, shift])], to=TensorProto.FLOAT)
        scale = add("Mul", [add("Div", [wide, self._float(255.0)]), scales])
        add("Add", [add("Mul", [product, scale]), bias], node.output[0])

    def _int8(self, node: onnx.NodeProto) -> None:
        x, weight, scales, bias = self._int8_inputs(node)
        floats = self._nodes.add("DequantizeLinear", [weight, scales], axis=1)
        self._nodes.add("Add", [self._nodes.add("MatMul", [x, floats]), bias], node.output[0])

    def _int8_inputs(self, node: onnx.NodeProto) -> tuple[str, str, str, str]:
        """The input, weights (K, M), their scales (M), and the bias (M)."""
        x, weight, scales, zero, bias = [*node.input, "", ""][:5]
        if zero:
            raise InputError("weights with a zero point have no standard form here", got=zero)
        return x, weight, scales, bias or self._float(0.0)

    def _blocks(self, node: onnx.NodeProto) -> None:
        """Weights in blocks become float32 ones: opset 18 knows no scale per block."""
        weight = self._nodes.constant(block_weights(node, [self._value(name) for name in node.input[1:] if name]))
        self._nodes.add("MatMul", [node.input[0], weight], node.output[0])


def block_weights(node: onnx.NodeProto, constants: list[Array]) -> Array:
    """float32 (K, N) of a MatMulNBits node: packed (N, K / block, bytes), scales (N · K / block), and zero points that
    are packed in the same way."""
    packed, scales, *zeros = constants
    K, N, bits = (_attribute(node, name, 0) for name in ("K", "N", "bits"))
    block = _attribute(node, "block_size", 32)
    blocks = -(-K // block)
    numbers = _unpacked(packed.reshape(N, -1), bits).reshape(N, blocks, block).astype(np.float32)
    middle: Array = np.full((N, blocks), 2 ** (bits - 1), dtype=np.float32)
    if zeros:
        middle = _unpacked(zeros[0].reshape(N, -1), bits)[:, :blocks].astype(np.float32)
    values = (numbers - middle[..., None]) * scales.reshape(N, blocks, 1)
    result: Array = values.reshape(N, -1)[:, :K].T
    return result


def _unpacked(packed: Array, bits: int) -> Array:
    """Bytes (N, M) to numbers (N, M · 8 / bits), the low bits first."""
    if bits == 8:
        return packed
    parts = [(packed >> shift) & (2**bits - 1) for shift in range(0, 8, bits)]
    return np.stack(parts, axis=-1).reshape(len(packed), -1)


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    found = (helper.get_attribute_value(one) for one in node.attribute if one.name == name)
    return next(found, default)


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Constants that no node reads any more."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
