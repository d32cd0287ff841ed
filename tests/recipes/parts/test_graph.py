from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch

from nanosmith.core.watch import Watch
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts import graph
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.export import EncoderGraph, export, run
from nanosmith.recipes.parts.folding import folded
from nanosmith.recipes.parts.ranges import activation_ranges
from nanosmith.testing.tiny_base import WIDTH, save_tiny_base

LABELS = 5


def made(tmp_path: Path, model_type: str = "bert", pooling: str = "mean") -> tuple[EncoderGraph, Any, list[list[int]]]:
    """An EncoderGraph of a tiny base, a function for its torch logits, and rows of ids of different lengths."""
    base = Base(find_base(str(save_tiny_base(tmp_path / "base", model_type, pooling))))
    encoder = base.new_encoder().eval()
    random = np.random.default_rng(5)
    rows = [random.integers(5, 40, size=length).tolist() for length in (1, 2, 3, 7, 20, 33)] * 4
    head = (random.normal(size=(WIDTH, LABELS)).astype(np.float32), random.normal(size=LABELS).astype(np.float32))
    weights = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
    encoder_graph = EncoderGraph(weights, head, base.config, base.pooling, base.max_tokens,
                                 activation_ranges(base, encoder, rows))  # fmt: skip

    def logits(ids: list[list[int]]) -> np.ndarray:
        with torch.inference_mode():
            vectors = [base.sentence_vectors(encoder, [row]).numpy()[0] for row in ids]
        return np.stack(vectors) @ head[0] + head[1]

    return encoder_graph, logits, rows


@pytest.mark.parametrize(
    ("model_type", "pooling"), [("bert", "mean"), ("bert", "cls"), ("roberta", "mean"), ("xlm-roberta", "cls")]
)
def test_float32_is_torch(model_type: str, pooling: str, tmp_path: Path) -> None:
    """The float32 graph gives torch's logits, at every length, for all supported families and poolings."""
    encoder_graph, logits, rows = made(tmp_path, model_type, pooling)
    encoder_graph.write(tmp_path / "m.onnx", dict.fromkeys(encoder_graph.names, "float32"))
    assert np.abs(run(tmp_path / "m.onnx", rows) - logits(rows)).max() < 1e-4


@pytest.mark.parametrize(("mode", "tolerance"), [("int8", 0.12), ("int4", 0.3), ("block8", 0.04)])
def test_quantised_is_near(mode: graph.Mode, tolerance: float, tmp_path: Path) -> None:
    """int8 and block8 stay within a few percent of the logits' spread; four bits are further away."""
    encoder_graph, logits, rows = made(tmp_path)
    encoder_graph.write(tmp_path / "m.onnx", dict.fromkeys(encoder_graph.names, mode))
    wanted = logits(rows)
    assert np.abs(run(tmp_path / "m.onnx", rows) - wanted).mean() < tolerance * wanted.std()


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_weights_leave_room_for_16_bit_sums(mode: graph.Mode, tmp_path: Path) -> None:
    """No int8 weight exceeds 64, so that two products of 255 and a weight fit into 16 bits on CPUs without VNNI."""
    encoder_graph, _, _ = made(tmp_path)
    encoder_graph.write(tmp_path / "m.onnx", dict.fromkeys(encoder_graph.names, mode))
    model = folded(onnx.load(tmp_path / "m.onnx"))
    used = {node.input[1] for node in model.graph.node if node.op_type == "DynamicQuantizeMatMul"}
    tensors = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name in used]
    assert len(tensors) == len(encoder_graph.names)
    assert max(int(np.abs(tensor.astype(np.int16)).max()) for tensor in tensors) <= 64


def test_gate_accepts_int8(tmp_path: Path) -> None:
    """With the model's own clear answers as wanted, int8 passes and every layer stays int8."""
    encoder_graph, logits, rows = made(tmp_path)
    best, second = np.sort(logits(rows), axis=1).T[[-1, -2]]
    rows = [row for row, margin in zip(rows, best - second) if margin > 0.2 * logits(rows).std()]
    assert len(rows) > 10
    reference = logits(rows)
    figures = export(encoder_graph, tmp_path, rows, reference, reference.argmax(1), Watch())
    assert figures["modes"] == {"int8": len(encoder_graph.names)}
    assert figures["checked"] == len(rows)


def test_gate_falls_back_when_int8_breaks(tmp_path: Path) -> None:
    """Ranges that are wrong by a factor of a million make int8 useless; the gate then writes finer or float32 layers
    that answer as trained."""
    encoder_graph, logits, rows = made(tmp_path)
    for name, largest in encoder_graph.ranges.items():
        largest[::2] = 1e6
        assert name in encoder_graph.names
    reference = logits(rows)
    figures = export(encoder_graph, tmp_path, rows, reference, reference.argmax(1), Watch())
    assert figures["modes"].get("int8", 0) < len(encoder_graph.names)
    assert figures["loss_points"] <= 0.3
    assert np.array_equal(run(tmp_path / "model.onnx", rows).argmax(1), reference.argmax(1))


def test_four_bits_are_half_of_eight(tmp_path: Path) -> None:
    """Weights, and the vectors of tokens and places, take less than 0.55 of what they take as int8 and float32."""
    encoder_graph, _, _ = made(tmp_path)
    sizes = {}
    for mode in ("int8", "int4"):
        encoder_graph.write(tmp_path / "m.onnx", dict.fromkeys(encoder_graph.names, mode))
        tensors = onnx.load(tmp_path / "m.onnx").graph.initializer
        sizes[mode] = sum(len(tensor.raw_data) for tensor in tensors if len(tensor.dims) > 1)
    assert sizes["int4"] < 0.55 * sizes["int8"]


def test_folded_graph_answers_the_same(tmp_path: Path) -> None:
    """With its four-bit weights written out as int8 a graph has the operators of an int8 one, and its very answers."""
    encoder_graph, _, rows = made(tmp_path)
    operators = {}
    for mode in ("int8", "int4"):
        encoder_graph.write(tmp_path / f"{mode}.onnx", dict.fromkeys(encoder_graph.names, mode))
        model = folded(onnx.load(tmp_path / f"{mode}.onnx"))
        operators[mode] = [node.op_type for node in model.graph.node]
    assert operators["int4"] == operators["int8"]
    onnx.save(model, tmp_path / "folded.onnx")
    assert np.array_equal(run(tmp_path / "folded.onnx", rows), run(tmp_path / "int4.onnx", rows))


def test_gate_leaves_int4_as_it_is(tmp_path: Path) -> None:
    """Bytes were asked for: the gate tells what int4 loses, and changes no layer."""
    encoder_graph, logits, rows = made(tmp_path)
    reference = logits(rows)
    wrong = (reference.argmax(1) + 1) % LABELS
    asked = msgspec.structs.replace(encoder_graph, mode="int4")
    figures = export(asked, tmp_path, rows, reference, wrong, Watch())
    assert figures["modes"] == {"int4": len(encoder_graph.names)}
    assert figures["checked"] == len(rows)


def test_all_float32_keeps_float32_embeddings(tmp_path: Path) -> None:
    """The last resort of the gate is the trained model itself: embeddings are not rounded either."""
    encoder_graph, _, _ = made(tmp_path)
    encoder_graph.write(tmp_path / "m.onnx", dict.fromkeys(encoder_graph.names, "float32"))
    kinds = {tensor.data_type for tensor in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert onnx.TensorProto.INT8 not in kinds
