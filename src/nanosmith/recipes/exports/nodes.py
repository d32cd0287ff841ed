"""Nodes and constants that are added to an ONNX graph, with names of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from nanosmith.recipes.parts.graph import IR_VERSION, OPSET
from nanosmith.version import __version__


class Nodes:
    """Adds to `graph` in order; `prefix` begins the names, so that they are none of those already there."""

    def __init__(self, graph: onnx.GraphProto, prefix: str) -> None:
        self.graph, self._prefix = graph, prefix
        self._count = 0

    def constant(self, value: NDArray[Any]) -> str:
        name = self._name("c")
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def add(self, op: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """A node of a standard operator with one output."""
        name = output or self._name("n")
        self.graph.node.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def axis(self, number: int) -> str:
        return self.constant(np.array([number], dtype=np.int64))

    def output(self, name: str, shape: Sequence[str | int]) -> None:
        self.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{self._prefix}.{kind}{self._count}"


def empty_graph(inputs: Mapping[str, Sequence[str | int]]) -> onnx.GraphProto:
    """A graph with int64 inputs of these shapes and nothing else."""
    values = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in inputs.items()]
    return onnx.GraphProto(name="model", input=values)


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A model of standard operators alone."""
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                             producer_name="nanosmith", producer_version=__version__)  # fmt: skip
