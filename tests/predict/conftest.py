"""Bundles of every local kind, made in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from nanosmith.predict.encoder import GRAPH_FILE, INPUT, OUTPUT
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import Bundle, seal
from nanosmith.testing import tiny_bundle

WORDS = ["[UNK]", "[CLS]", "[SEP]", "delivery", "login", "refund"]


def tiny_encoder(folder: Path) -> Bundle:
    """An encoder/1 bundle: the mean of one-hot token vectors, so that it answers the labels named in the text."""
    onnx = pytest.importorskip("onnx")
    source = tiny_bundle(folder.with_name("source"))
    draft = folder.with_name("draft")
    draft.mkdir()
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.save(str(draft / "tokenizer.json"))
    table = np.zeros((len(WORDS), 3), dtype=np.float32)
    table[3:] = 8 * np.eye(3)
    make = onnx.helper
    graph = make.make_graph(
        [
            make.make_node("Gather", ["table", INPUT], ["vectors"]),
            make.make_node("ReduceSum", ["vectors", "axis"], [OUTPUT], keepdims=0),
        ],
        "tiny",
        [make.make_tensor_value_info(INPUT, onnx.TensorProto.INT64, [1, "T"])],
        [make.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [1, 3])],
        [onnx.numpy_helper.from_array(table, "table"), onnx.numpy_helper.from_array(np.array([1]), "axis")],
    )
    opset = [make.make_opsetid("", 17)]
    onnx.save(make.make_model(graph, opset_imports=opset, ir_version=9), draft / GRAPH_FILE)
    manifest = msgspec.structs.replace(source.manifest, predictor="encoder/1", name="tiny-encoder")
    return seal(draft, manifest, folder)


@pytest.fixture(params=["static/1 choice", "static/1 labels", "encoder/1"])
def predictor(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Each kind of local predictor in turn."""
    if request.param == "encoder/1":
        return open_predictor(tiny_encoder(tmp_path / "bundle"))
    kind = "choice" if request.param.endswith("choice") else "labels"
    return open_predictor(tiny_bundle(tmp_path / "bundle", kind=kind))  # type: ignore[arg-type]
