"""An exported graph as a torch module, for converters that take torch: each standard operator is one call.

Only what the graphs of this package hold is known. Weights are float32 here: not every converter takes rows of int8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional

from nanosmith.core.errors import InputError

Values = Sequence[Any]
"""Of a node's inputs: tensors, or lists of whole numbers."""
TYPES = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.INT64: torch.int64}


class GraphModule(torch.nn.Module):  # type: ignore[misc]
    """Takes the graph's inputs in order, gives its outputs in order."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        super().__init__()
        self._nodes = [(node, _attributes(node)) for node in graph.node]
        if odd := sorted({node.op_type for node, _ in self._nodes} - OPERATORS.keys()):
            raise InputError("operators of this graph are not known to the converter", got=", ".join(odd))
        self.inputs = [value.name for value in graph.input]
        self.outputs = [value.name for value in graph.output]
        self._names: dict[str, str] = {}
        self._sizes: dict[str, Any] = {}  # axes, shapes and indices: whole numbers that are no weights
        for i, tensor in enumerate(graph.initializer):
            array = numpy_helper.to_array(tensor)
            if array.dtype == np.int64:
                self._sizes[tensor.name] = array.tolist()
            else:
                self._names[tensor.name] = f"constant_{i}"
                self.register_buffer(f"constant_{i}", torch.tensor(array.astype(np.float32)))

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values = {name: getattr(self, own) for name, own in self._names.items()}
        values |= self._sizes | dict(zip(self.inputs, given))
        for node, attributes in self._nodes:
            found = OPERATORS[node.op_type]([values[name] for name in node.input], attributes)
            values.update(zip(node.output, found if isinstance(found, tuple) else (found,)))
        return tuple(values[name] for name in self.outputs)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _axes(x: Values, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"dim": x[1], "keepdim": bool(attributes.get("keepdims", 1))}


def _cast(value: Any, type: torch.dtype) -> Any:
    """Of a tensor, or of sizes that are the same for all inputs."""
    return value.to(type) if isinstance(value, torch.Tensor) else torch.tensor([int(one) for one in value], dtype=type)


def _slice(x: Values, _: dict[str, Any]) -> torch.Tensor:
    """Of the first axis, from 0: the only one in these graphs."""
    return x[0][: x[2][0]]


def _reshape(x: Values, _: dict[str, Any]) -> torch.Tensor:
    """A size of 0 stays as it is; the first one, of the batch, is the same for all inputs."""
    kept = [int(x[0].shape[0]), *x[0].shape[1:]]
    return x[0].reshape([kept[i] if size == 0 else size for i, size in enumerate(x[1])])


def _softmax(x: Values, attributes: dict[str, Any]) -> torch.Tensor:
    return functional.softmax(x[0], dim=attributes["axis"])


OPERATORS: dict[str, Callable[[Values, dict[str, Any]], Any]] = {
    "Add": lambda x, _: x[0] + x[1],
    "Cast": lambda x, a: _cast(x[0], TYPES[a["to"]]),
    "Concat": lambda x, a: torch.cat(list(x), dim=a["axis"]),
    "DequantizeLinear": lambda x, _: x[0] * x[1],
    "Div": lambda x, _: x[0] / x[1],
    "Erf": lambda x, _: torch.erf(x[0]),
    "Gather": lambda x, a: x[0][x[1]] if a.get("axis", 0) == 0 else x[0].select(a["axis"], x[1]),
    "Gemm": lambda x, _: x[0] @ x[1] + x[2],
    "Identity": lambda x, _: x[0],
    "LayerNormalization": lambda x, a: functional.layer_norm(
        x[0], list(map(int, x[1].shape)), x[1], x[2], a["epsilon"]
    ),
    "LpNormalization": lambda x, _: functional.normalize(x[0], dim=-1),
    "MatMul": lambda x, _: x[0] @ x[1],
    "Max": lambda x, _: torch.maximum(x[0], x[1]),
    "Mul": lambda x, _: x[0] * x[1],
    "Reciprocal": lambda x, _: 1 / x[0],
    "ReduceLogSumExp": lambda x, a: torch.logsumexp(x[0], **_axes(x, a)),
    "ReduceMax": lambda x, a: torch.amax(x[0], **_axes(x, a)),
    "ReduceMean": lambda x, a: torch.mean(x[0], **_axes(x, a)),
    "ReduceMin": lambda x, a: torch.amin(x[0], **_axes(x, a)),
    "ReduceSum": lambda x, a: torch.sum(x[0], **_axes(x, a)),
    "ReduceSumSquare": lambda x, a: torch.sum(x[0] * x[0], **_axes(x, a)),
    "Reshape": _reshape,
    "Shape": lambda x, a: list(x[0].shape[a["start"] : a["end"]]),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": lambda x, a: tuple(x[0].chunk(a["num_outputs"], dim=a["axis"])),
    "Sqrt": lambda x, _: torch.sqrt(x[0]),
    "Sub": lambda x, _: x[0] - x[1],
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
}
