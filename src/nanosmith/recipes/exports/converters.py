"""Graphs for OpenVINO, Core ML and LiteRT, by their own converters."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from nanosmith.recipes.exports.graphs import Graph
from nanosmith.recipes.exports.portable import MASK, portable
from nanosmith.recipes.exports.torch_graph import GraphModule
from nanosmith.recipes.exports.written import Written
from nanosmith.recipes.parts.decoder_export import silence

USUAL = 16  # tokens of an example
LENGTHS = (16, 64, 256)  # of LiteRT's graphs, as far as a model reads


def to_openvino(graph: Graph, folder: Path) -> Written:
    """model.xml and model.bin; weights stay int8."""
    import openvino

    with tempfile.TemporaryDirectory() as made, silence():
        file = Path(made) / "model.onnx"
        onnx.save(portable(graph.model), str(file))
        model = openvino.convert_model(file)
        openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    return Written("model.xml", notes=(FLOAT_PRODUCTS,))


FLOAT_PRODUCTS = "Products are in float32, where the bundle's are in int8: probabilities differ a little."


def to_coreml(graph: Graph, folder: Path) -> Written:
    """model.mlpackage, an ML program in float32, for iOS 16, macOS 13 and later."""
    with silence():
        import coremltools

        model = portable(graph.model)
        module = GraphModule(model.graph).eval()
        traced = torch.jit.trace(module, _example(module, USUAL))
        length = coremltools.RangeDim(1, graph.max_tokens, default=USUAL)
        inputs = [coremltools.TensorType(name, shape=(1, length), dtype=np.int32) for name in module.inputs]
        converted = coremltools.convert(
            traced, inputs=inputs, outputs=[coremltools.TensorType(name) for name in module.outputs],
            convert_to="mlprogram", compute_precision=coremltools.precision.FLOAT32,
            minimum_deployment_target=coremltools.target.iOS16,
        )  # fmt: skip
        converted.save(str(folder / "model.mlpackage"))
    return Written("model.mlpackage", notes=("Weights and products are in float32.",))


def to_litert(graph: Graph, folder: Path) -> Written:
    """model.tflite with a signature for each of LENGTHS: its graphs have one length, so texts are padded, and `mask`
    tells what is padding. A graph that needs no mask has a token of no meaning, `empty_id`."""
    padded = graph.reading.get("empty_id")
    model = portable(graph.model, masked=padded is None)
    lengths = sorted({min(length, graph.max_tokens) for length in (*LENGTHS, graph.max_tokens)})
    with silence():
        import litert_torch

        module = GraphModule(model.graph).eval()
        converter: Any = litert_torch
        for length in lengths:
            converter = converter.signature(f"tokens_{length}", module, _example(module, length))
        converter.convert().export(str(folder / "model.tflite"))
    about = {"inputs": module.inputs, "outputs": module.outputs, "lengths": lengths, "pad_id": padded or 0}
    return Written("model.tflite", about=about, notes=("Weights and products are in float32.",))


def _example(module: GraphModule, length: int) -> tuple[torch.Tensor, ...]:
    """Inputs of so many tokens."""
    types = {MASK: torch.float32}
    return tuple(torch.ones((1, length), dtype=types.get(name, torch.int64)) for name in module.inputs)
