"""A sealed bundle, opened for training again: its int8 weights become float32 ones (docs/decisions/0010).

The graph that `graph.build` made is read back node by node, so a bundle needs nothing but its own files to be trained
further: not the base it came from, and no weights kept beside it. What int8 rounded off is not restored.

Letters: D width, K inputs and M outputs of a linear layer, L labels, V vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.numpy import load_file

from nanosmith.core.errors import InputError
from nanosmith.core.watch import Watch
from nanosmith.predict.graph_names import EMBEDDING, GRAPH_FILE, INPUT, OUTPUT
from nanosmith.predict.static import WEIGHTS_FILE, embedding
from nanosmith.recipes.base_folder import BaseFolder
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.folding import folded
from nanosmith.recipes.parts.forward import sentence_vectors
from nanosmith.store.bundles import Bundle

Array = NDArray[Any]
Head = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weight (D, L) and bias (L)."""
LINEAR = ("DynamicQuantizeMatMul", "MatMulNBits", "MatMul")
SAMPLE = 64  # texts that tell the usual length of a vector
SPARE_POSITIONS = 2  # that a configuration counts beyond the tokens that are read; see Base.max_tokens


class Weights(msgspec.Struct, frozen=True):
    """`encoder` by BERT's names at Hugging Face, and the `config` that they need. `reads_unit`: the head reads vectors
    of length 1; in bundles of 0.1.0 it reads them as they are pooled."""

    encoder: dict[str, NDArray[np.float32]]
    head: Head
    reads_unit: bool
    config: dict[str, Any]
    pooling: str


class TunedBase(Base):
    """The encoder of a bundle as a base: its sentence vectors are those that the bundle's head was trained on."""

    def __init__(self, bundle: Bundle, cache: Path | None = None) -> None:
        self._weights = read_encoder(bundle.file(GRAPH_FILE))
        super().__init__(_folder(bundle), cache, config=self._weights.config, pooling=self._weights.pooling)
        self._labels = bundle.manifest.task.labels

    @cached_property
    def head(self) -> Head:
        """The bundle's head, for vectors of length 1. One that reads longer ones is scaled by their usual length."""
        weight, bias = self._weights.head
        if self._weights.reads_unit:
            return weight, bias
        rows = self.token_ids([label.replace("_", " ") for label in self._labels[:SAMPLE]])
        with torch.inference_mode():
            pooled = sentence_vectors(
                self._frozen, rows, pad_id=self.config["pad_token_id"], pooling=self.pooling, dtype=torch.float32
            )
        return weight * float(pooled.norm(dim=1).mean()), bias

    @property
    def weights(self) -> Weights:
        """What the bundle's graph holds, in float32."""
        return self._weights

    def new_encoder(self) -> torch.nn.Module:
        """A fresh copy of the bundle's encoder in float32, dropout off."""
        return encoder_of(self.config, self._weights.encoder)


class TunedStatic(Base):
    """The token vectors of a static bundle as a base; there is no encoder."""

    def __init__(self, bundle: Bundle, cache: Path | None = None) -> None:
        tensors = load_file(bundle.file(WEIGHTS_FILE))
        if "weight" not in tensors:
            raise _no_labels(bundle.manifest.name)
        self._tensors = tensors
        self._start = tensors["embeddings"].astype(np.float32) * tensors["scales"][:, None]  # (V, D)
        config = {"model_type": "bert", "hidden_size": self._start.shape[1],
                  "max_position_embeddings": bundle.manifest.max_tokens + SPARE_POSITIONS}  # fmt: skip
        super().__init__(_folder(bundle), cache, config=config, pooling="mean")
        self.head: Head = (tensors["weight"], tensors["bias"])

    def static_vectors(self) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self._start.copy()
        return vectors

    def vectors(self, texts: Sequence[str], watch: Watch | None = None) -> NDArray[np.float32]:
        """Directions (N, D) of the texts: what the bundle's head reads."""
        rows = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        found: NDArray[np.float32] = np.stack([embedding(self._tensors, row.ids) for row in rows])
        return found


def open_tuned(bundle: Bundle, cache: Path | None = None) -> TunedBase | TunedStatic:
    """A bundle as a base to train from. Raises InputError where it has no labels or a graph that is not ours."""
    if not bundle.manifest.task.labels:
        raise _no_labels(bundle.manifest.name)
    return TunedStatic(bundle, cache) if bundle.manifest.predictor == "static/1" else TunedBase(bundle, cache)


def encoder_of(config: Mapping[str, Any], weights: Mapping[str, Array]) -> torch.nn.Module:
    """A BERT in float32 with these weights, dropout off. Its layers may have fewer heads than their width has room for,
    which transformers cannot say: the module is made with one head, and told the number afterwards."""
    from transformers import BertConfig, BertModel

    logging.getLogger("transformers").setLevel(logging.ERROR)
    one = {**config, "num_attention_heads": 1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    made = BertConfig(**one)
    made._attn_implementation = "sdpa"
    encoder = BertModel(made, add_pooling_layer=False)
    for name, array in weights.items():
        place, _, last = name.rpartition(".")
        setattr(encoder.get_submodule(place), last, torch.nn.Parameter(torch.from_numpy(np.array(array))))
    encoder.config.num_attention_heads = config["num_attention_heads"]
    return encoder


def read_encoder(path: Path) -> Weights:
    """The weights of a graph. Raises InputError when it was not made by `graph.build`."""
    try:
        return _Graph(folded(onnx.load(path))).weights()
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(
            "this graph cannot be trained further", where=str(path), got=f"{type(error).__name__}: {error}",
            allowed="a bundle that nanosmith tune made", remedy="Tune from its base, on the old and new examples.",
            param="base",
        ) from error  # fmt: skip


class _Graph:
    """Nodes of an encoder's graph in the order in which `graph.build` writes them."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._nodes = list(model.graph.node)
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._made_by = {name: node for node in self._nodes for name in node.output}

    def weights(self) -> Weights:
        linears = [self._linear(node) for node in self._nodes if node.op_type in LINEAR]
        norms = [[self._constants[name] for name in node.input[2:5]] for node in self._of("SkipLayerNormalization")]
        activations = [self._constants[node.input[1]] for node in self._of("BiasGelu")]
        encoder = self._embeddings()
        for layer, up_bias in enumerate(activations):
            parts = dict(_layer(linears[4 * layer : 4 * layer + 4], norms[2 * layer : 2 * layer + 2], up_bias))
            encoder |= {f"encoder.layer.{layer}.{name}": array for name, array in parts.items()}
        head = self._of("Gemm")[0]
        if list(head.output) != [OUTPUT]:
            raise ValueError("no logits")
        return Weights(
            {name: np.array(array, dtype=np.float32, order="C") for name, array in encoder.items()},
            (self._constants[head.input[1]], self._constants[head.input[2]]),
            head.input[0] == EMBEDDING,
            self._config(encoder, linears[2][0].shape[1], len(activations)),
            "mean" if self._of("ReduceMean") else "cls",
        )

    def _of(self, op: str) -> list[onnx.NodeProto]:
        return [node for node in self._nodes if node.op_type == op]

    def _linear(self, node: onnx.NodeProto) -> tuple[Array, Array | None]:
        """Weight (K, M) and bias (M) of a linear layer in whichever mode it is."""
        constants = [self._constants[name] for name in node.input[1:] if name]
        if node.op_type == "DynamicQuantizeMatMul":
            quantised, scales, *bias = constants
            inverse_factors = self._constants[self._made_by[node.input[0]].input[1]]  # (K): the smoothing of the input
            return quantised * scales * inverse_factors[:, None], bias[0] if bias else None
        if node.op_type == "MatMulNBits":
            shifted, scales = constants  # (M, K / 64, 64), (M, K / 64)
            blocks = (shifted.astype(np.float32) - 128) * scales.reshape(*shifted.shape[:2], 1)
            return blocks.reshape(len(blocks), -1).T, self._added_to(node)
        return constants[0], self._added_to(node)

    def _added_to(self, node: onnx.NodeProto) -> Array | None:
        after = next((other for other in self._of("Add") if other.input[0] == node.output[0]), None)
        return None if after is None else self._constants[after.input[1]]

    def _embeddings(self) -> dict[str, Array]:
        tables = [self._constants[node.input[0]] for node in self._of("Gather") if node.input[1] == INPUT]
        positions = self._constants[self._of("Slice")[0].input[0]]  # the token type is in them
        spare = np.zeros((SPARE_POSITIONS, positions.shape[1]), dtype=np.float32)
        norm = self._of("LayerNormalization")[0]
        return {
            "embeddings.word_embeddings.weight": tables[0] * tables[1] if len(tables) > 1 else tables[0],
            "embeddings.position_embeddings.weight": np.concatenate([positions, spare]),
            "embeddings.token_type_embeddings.weight": np.zeros((1, positions.shape[1]), dtype=np.float32),
            "embeddings.LayerNorm.weight": self._constants[norm.input[1]],
            "embeddings.LayerNorm.bias": self._constants[norm.input[2]],
        }

    def _config(self, encoder: Mapping[str, Array], inner: int, layers: int) -> dict[str, Any]:
        vocabulary, width = encoder["embeddings.word_embeddings.weight"].shape
        return {
            "model_type": "bert", "hidden_size": width, "num_hidden_layers": layers, "intermediate_size": inner,
            "num_attention_heads": _attribute(self._of("MultiHeadAttention")[0], "num_heads"),
            "layer_norm_eps": _attribute(self._of("LayerNormalization")[0], "epsilon"),
            "vocab_size": vocabulary, "type_vocab_size": 1, "pad_token_id": 0,
            "max_position_embeddings": len(encoder["embeddings.position_embeddings.weight"]),
        }  # fmt: skip


def _layer(
    linears: list[tuple[Array, Array | None]], norms: list[list[Array]], up_bias: Array
) -> Iterator[tuple[str, Array]]:
    """The reverse of `graph._layer`: names and tensors, weights as torch has them (M, K)."""
    (qkv, qkv_bias), (out, _), (up, _), (down, _) = linears
    if qkv_bias is None:
        raise ValueError("no bias of the attention")
    thirds = zip(("query", "key", "value"), np.split(qkv, 3, axis=1), np.split(qkv_bias, 3))
    for name, weight, bias in thirds:
        yield f"attention.self.{name}.weight", weight.T
        yield f"attention.self.{name}.bias", bias
    for place, weight, (scale, shift, bias) in (("attention.output", out, norms[0]), ("output", down, norms[1])):
        yield f"{place}.dense.weight", weight.T
        yield f"{place}.dense.bias", bias
        yield f"{place}.LayerNorm.weight", scale
        yield f"{place}.LayerNorm.bias", shift
    yield "intermediate.dense.weight", up.T
    yield "intermediate.dense.bias", up_bias


def _attribute(node: onnx.NodeProto, name: str) -> Any:
    return next(onnx.helper.get_attribute_value(one) for one in node.attribute if one.name == name)


def _folder(bundle: Bundle) -> BaseFolder:
    """Named and identified by the model that it is."""
    return BaseFolder(bundle.manifest.name, bundle.path, bundle.manifest.model_digest)


def _no_labels(name: str) -> InputError:
    return InputError("this bundle embeds texts and has no labels to go on from", got=repr(name), param="base",
                      remedy="Tune from its base.")  # fmt: skip
