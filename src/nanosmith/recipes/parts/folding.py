"""What hangs on constants alone in an ONNX graph, computed: four-bit weights become the int8 ones they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]
Attributes = Mapping[str, Any]


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which nodes with constant inputs are constants, as far as they are of OPERATORS."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    constants = {tensor.name: tensor for tensor in made.graph.initializer}
    known: dict[str, Array] = {}  # computed here
    for node in model.graph.node:
        if node.op_type not in OPERATORS or not all(name in known or name in constants for name in node.input):
            made.graph.node.append(node)
            continue
        given = [known[name] if name in known else numpy_helper.to_array(constants[name]) for name in node.input]
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        known.update(zip(node.output, OPERATORS[node.op_type](given, attributes)))
    used = {name for node in made.graph.node for name in node.input}
    kept = [tensor for name, tensor in constants.items() if name in used]
    del made.graph.initializer[:]
    made.graph.initializer.extend(kept)
    made.graph.initializer.extend(numpy_helper.from_array(known[name], name) for name in known if name in used)
    return made


OPERATORS: dict[str, Callable[[Sequence[Array], Attributes], Sequence[Array]]] = {
    "BitShift": lambda x, a: [x[0] >> x[1] if a["direction"] == b"RIGHT" else x[0] << x[1]],
    "Cast": lambda x, a: [x[0].astype(helper.tensor_dtype_to_np_dtype(a["to"]))],
    "Concat": lambda x, a: [np.concatenate(x, axis=a["axis"])],
    "Mod": lambda x, _: [np.mod(x[0], x[1])],
    "Mul": lambda x, _: [x[0] * x[1]],
    "Reshape": lambda x, _: [x[0].reshape(x[1].tolist())],
    "Split": lambda x, a: np.split(x[0], np.cumsum(x[1])[:-1], axis=a["axis"]),
    "Sub": lambda x, _: [x[0] - x[1]],
    "Transpose": lambda x, a: [np.ascontiguousarray(x[0].transpose(a["perm"]))],
}
