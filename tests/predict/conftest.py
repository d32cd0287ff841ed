"""Bundles of every local kind, made in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from nanosmith.predict.graph_names import GRAPH_FILE, INPUT, OUTPUT
from nanosmith.predict.open import open_predictor
from nanosmith.predict.tfidf import VOCABULARY_FILE, WEIGHTS_FILE, Vocabulary
from nanosmith.store.bundles import Bundle, seal
from nanosmith.testing import tiny_bundle

if TYPE_CHECKING:
    from nanosmith.testing.tiny_text import TinyText

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


def tiny_tfidf(folder: Path) -> Bundle:
    """A tfidf/1 bundle that answers the labels named in the text, and knows one pair and two n-grams of them."""
    source = tiny_bundle(folder.with_name("source"))
    draft = folder.with_name("draft")
    draft.mkdir()
    words = ["delivery", "login", "refund"]
    weight = np.concatenate([np.eye(3), [[0, 0, 1]], [[0, 0, 1]], [[0, 1, 0]]])  # words, refund refund, " ref", "ogin"
    tensors = {
        "pairs": np.array([2 * 3 + 2]), "idf": np.full(6, 1.5, dtype=np.float32),
        "weight": (127 * weight).astype(np.int8), "scales": np.full(3, 8 / 127, dtype=np.float32),
        "bias": np.zeros(3, dtype=np.float32),
    }  # fmt: skip
    save_file(tensors, draft / WEIGHTS_FILE)
    (draft / VOCABULARY_FILE).write_bytes(msgspec.json.encode(Vocabulary(words, [" ref", "ogin"])))
    manifest = msgspec.structs.replace(source.manifest, predictor="tfidf/1", name="tiny-tfidf")
    return seal(draft, manifest, folder)


@pytest.fixture(params=["static/1 choice", "static/1 labels", "encoder/1", "tfidf/1", "cascade/1"])
def predictor(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Each kind of local predictor in turn."""
    if request.param == "encoder/1":
        return open_predictor(tiny_encoder(tmp_path / "bundle"))
    if request.param == "tfidf/1":
        return open_predictor(tiny_tfidf(tmp_path / "bundle"))
    if request.param == "cascade/1":
        from tests.predict.cascades import tiny_cascade

        return open_predictor(tiny_cascade(tmp_path / "bundle"))
    kind = "choice" if request.param.endswith("choice") else "labels"
    return open_predictor(tiny_bundle(tmp_path / "bundle", kind=kind))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> TinyText:
    """A tiny base that writes, and two models on it."""
    from nanosmith.testing.tiny_text import TinyText, save_random_adapter, save_tiny, seal_adapter, seal_base

    folder = tmp_path_factory.mktemp("tiny-text")
    hf = save_tiny(folder / "hf")
    base = seal_base(hf, folder)
    peft = [save_random_adapter(hf, folder / f"peft{seed}", seed, rank=4 * seed) for seed in (1, 2)]
    models = [seal_adapter(base, adapter, folder / adapter.name.replace("peft", "model")) for adapter in peft]
    return TinyText(hf, base, tuple(peft), tuple(models))
