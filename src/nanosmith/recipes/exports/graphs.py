"""The ONNX graph of each kind of bundle, as it is exported.

Inputs are int64 (1, T). Outputs, float32: `logits` (1, L), `embedding` (1, D), and where a bundle tells what is out of
scope `far` (1, 1), the raw score that predict/scope.py describes. Letters: T tokens, D width, L labels, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from safetensors.numpy import load_file

from nanosmith.core.manifest import Scope
from nanosmith.predict.graph_names import EMBEDDING, GRAPH_FILE, INPUT, OUTPUT, TOKENS
from nanosmith.predict.scope import SCOPE_FILE
from nanosmith.predict.segments import HEAD_FILE, LABEL_WEIGHT, MOST, STARTS, SURE, read_head
from nanosmith.predict.static import WEIGHTS_FILE
from nanosmith.predict.tfidf import GRAM_LENGTHS
from nanosmith.predict.tfidf import WEIGHTS_FILE as TFIDF_FILE
from nanosmith.predict.words import WORD
from nanosmith.recipes.exports.nodes import Nodes, empty_graph, model_of
from nanosmith.recipes.parts.folding import folded
from nanosmith.store.bundles import Bundle

FAR, TOKEN_SCORES = "far", "token_scores"
READ_TOKENS: dict[str, Any] = {"reading": "tokenizer", "special_tokens": True}
Tensors = Mapping[str, NDArray[Any]]


class Graph(NamedTuple):
    """A model, the most tokens it reads, and what its example must know of how a text becomes its input."""

    model: onnx.ModelProto
    max_tokens: int
    reading: dict[str, Any]


def encoder_graph(bundle: Bundle) -> Graph:
    """The bundle's own graph, four-bit weights as int8; with `far` where it has a scope."""
    model = folded(onnx.load(str(bundle.file(GRAPH_FILE))))
    if bundle.manifest.scope:
        add_scope(model.graph, bundle.manifest.scope, load_file(bundle.file(SCOPE_FILE)))
    return Graph(model, bundle.manifest.max_tokens, READ_TOKENS)


def segments_graph(bundle: Bundle) -> Graph:
    """The bundle's own graph with `token_scores` (1, T, L): what the head makes of each token's vector, so that the
    scores of a segment are a mean of rows."""
    model = onnx.load(str(bundle.file(GRAPH_FILE)))
    head = read_head(bundle.file(HEAD_FILE))
    width, labels = head.weight.shape
    nodes = Nodes(model.graph, "head")
    nodes.add("MatMul", [TOKENS, nodes.constant(head.weight)], TOKEN_SCORES)
    nodes.output(TOKEN_SCORES, (1, "T", labels))
    said = {"bias": head.bias.tolist(), "width": width, "starts": STARTS, "most": MOST, "label_weight": LABEL_WEIGHT,
            "sure": SURE}  # fmt: skip
    return Graph(model, bundle.manifest.max_tokens, {**READ_TOKENS, "segments": said})


def tfidf_graph(bundle: Bundle) -> Graph:
    """The arithmetic of predict/tfidf.py, of the numbers of words and pairs (1, T) and of n-grams (1, T). The last
    number, one more than there are terms, is nothing."""
    tensors = load_file(bundle.file(TFIDF_FILE))
    graph = empty_graph({"words": (1, "W"), "grams": (1, "G")})
    nodes = Nodes(graph, "tfidf")
    idf = nodes.constant(np.append(tensors["idf"], np.float32(0)))
    weight = nodes.constant(np.concatenate([tensors["weight"], np.zeros_like(tensors["weight"][:1])]))
    both = nodes.add("Add", [_terms(nodes, name, idf, weight) for name in ("words", "grams")])
    scaled = nodes.add("Mul", [both, nodes.constant(tensors["scales"])])
    nodes.add("Add", [scaled, nodes.constant(tensors["bias"])], OUTPUT)
    nodes.output(OUTPUT, (1, len(tensors["bias"])))
    if bundle.manifest.scope:
        length = nodes.add("Sqrt", [nodes.add("ReduceSumSquare", [OUTPUT, nodes.axis(-1)])])
        add_scope(graph, bundle.manifest.scope, load_file(bundle.file(SCOPE_FILE)), nodes.add("Div", [OUTPUT, length]))
    reading = {
        "reading": "vocabulary", "pairs": tensors["pairs"].tolist(), "empty_id": len(tensors["idf"]),
        "gram_lengths": list(GRAM_LENGTHS), "word_pattern": re.sub(r"\\([#&~])", r"\1", WORD.pattern),
    }  # fmt: skip
    # JavaScript takes no escapes that are not needed
    return Graph(model_of(graph), bundle.manifest.max_tokens, reading)


def _terms(nodes: Nodes, name: str, idf: str, weight: str) -> str:
    """What terms add to each label (1, L), before the scales: their weights at length 1, (1 + ln of occurrences) · idf,
    times `weight` int8 (F, L)."""
    terms, counts = f"{name}.terms", f"{name}.counts"
    nodes.graph.node.append(helper.make_node("Unique", [name], [terms, "", "", counts]))
    often = nodes.add("Log", [nodes.add("Cast", [counts], to=onnx.TensorProto.FLOAT)])
    once = nodes.add("Add", [often, nodes.constant(np.array(1, dtype=np.float32))])
    values = nodes.add("Mul", [once, nodes.add("Gather", [idf, terms])])
    length = nodes.add("Sqrt", [nodes.add("ReduceSumSquare", [values, nodes.axis(0)])])
    unit = nodes.add("Div", [values, nodes.add("Max", [length, nodes.constant(np.array(1e-12, dtype=np.float32))])])
    rows = nodes.add("Cast", [nodes.add("Gather", [weight, terms])], to=onnx.TensorProto.FLOAT)
    return nodes.add("MatMul", [nodes.add("Unsqueeze", [unit, nodes.axis(0)]), rows])


def static_graph(bundle: Bundle) -> Graph:
    """The arithmetic of predict/static.py. Token V is nothing: a text without tokens is that one."""
    tensors = load_file(bundle.file(WEIGHTS_FILE))
    graph = empty_graph({INPUT: (1, "T")})
    nodes = Nodes(graph, "static")
    rows = np.concatenate([tensors["embeddings"], np.zeros_like(tensors["embeddings"][:1])])
    scales = np.append(tensors["scales"], np.float32(0))[:, None]
    vectors = nodes.add("Cast", [nodes.add("Gather", [nodes.constant(rows), INPUT])], to=onnx.TensorProto.FLOAT)
    scaled = nodes.add("Mul", [vectors, nodes.add("Gather", [nodes.constant(scales), INPUT])])
    total = nodes.add("ReduceSum", [scaled, nodes.axis(1)], keepdims=0)  # (1, T, D) -> (1, D)
    length = nodes.add("Sqrt", [nodes.add("ReduceSumSquare", [total, nodes.axis(-1)])])
    nonzero = nodes.add("Max", [length, nodes.constant(np.array(1e-12, dtype=np.float32))])
    nodes.add("Div", [total, nonzero], EMBEDDING)
    if "weight" in tensors:
        longer = nodes.add("Add", [length, nodes.constant(np.array(1e-6, dtype=np.float32))])
        unit = nodes.add("Div", [total, longer])
        nodes.add("Gemm", [unit, nodes.constant(tensors["weight"]), nodes.constant(tensors["bias"])], OUTPUT)
        nodes.output(OUTPUT, (1, len(tensors["bias"])))
    nodes.output(EMBEDDING, (1, rows.shape[1]))
    if bundle.manifest.scope:
        add_scope(graph, bundle.manifest.scope, load_file(bundle.file(SCOPE_FILE)))
    reading = {**READ_TOKENS, "special_tokens": False, "empty_id": len(rows) - 1}
    return Graph(model_of(graph), bundle.manifest.max_tokens, reading)


def add_scope(graph: onnx.GraphProto, scope: Scope, tensors: Tensors, vector: str = EMBEDDING) -> None:
    """`far` (1, 1) from `vector` (1, D) and the logits: the features of predict/scope.py, weighted."""
    nodes = Nodes(graph, "scope")
    parts = {name: nodes.constant(tensors[name].astype(np.float32)) for name in ("square", "linear", "constant")}
    square = nodes.add("Mul", [nodes.add("MatMul", [vector, parts["square"]]), vector])
    classes = nodes.add("Add", [nodes.add("MatMul", [vector, parts["linear"]]), parts["constant"]])

    def over(op: str, name: str) -> str:
        """(1, …) -> (1, 1)"""
        return nodes.add(op, [name, nodes.axis(-1)])

    features = [
        nodes.add("Add", [over("ReduceSum", square), over("ReduceMin", classes)]),
        nodes.add("Sub", [over("ReduceLogSumExp", OUTPUT), over("ReduceMax", OUTPUT)]),
    ]
    if len(tensors["outside"]):
        near = [nodes.constant(tensors[name].astype(np.float32).T) for name in ("outside", "classes")]
        cosines = [nodes.add("MatMul", [vector, one]) for one in near]
        features.append(nodes.add("Sub", [over("ReduceMax", one) for one in cosines]))
    row = nodes.add("Concat", features, axis=-1)  # (1, F)
    centred = nodes.add("Sub", [row, nodes.constant(np.array(scope.centres, dtype=np.float32))])
    nodes.add("MatMul", [centred, nodes.constant(np.array(scope.weights, dtype=np.float32)[:, None])], FAR)
    nodes.output(FAR, (1, 1))
