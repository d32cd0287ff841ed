"""A bundle as a folder of another runtime: the model, how it is read, and examples.

model.onnx | model.xml, model.bin | model.mlpackage | model.tflite
model.json        labels, calibration, thresholds, what is out of scope: all that is not in the graph
tokenizer.json    and spelling.txt, as in the bundle
example.py        and for ONNX example.mjs and index.html
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import onnx

from nanosmith.predict.local import CHARS_PER_TOKEN, TOKENIZER_FILE
from nanosmith.predict.spelling import SPELLING_FILE
from nanosmith.predict.tfidf import VOCABULARY_FILE
from nanosmith.recipes.exports.converters import to_coreml, to_litert, to_openvino
from nanosmith.recipes.exports.graphs import Graph, encoder_graph, segments_graph, static_graph, tfidf_graph
from nanosmith.recipes.exports.portable import portable as as_portable
from nanosmith.recipes.exports.written import Written
from nanosmith.store.bundles import Bundle
from nanosmith.version import __version__

FORM_FILE, GRAPH_FILE = "model.json", "model.onnx"
GRAPHS: dict[str, Callable[[Bundle], Graph]] = {
    "static/1": static_graph,
    "encoder/1": encoder_graph,
    "segments/1": segments_graph,
    "tfidf/1": tfidf_graph,
}
BY_ROWS = "Products are in int8, with a scale per token, as in the kernel that serves."
FILES = {"onnx": ("example.py", "answer.mjs", "example.mjs", "index.html", "package.json")}
CONVERTERS: dict[str, Callable[[Graph, Path], Written]] = {
    "openvino": to_openvino,
    "coreml": to_coreml,
    "litert": to_litert,
}


def write(target: str, bundle: Bundle, folder: Path, *, cache: Path, portable: bool = False) -> Written:
    """Everything but the README and the answers to compare with. `cache` is where bases are kept. Raises InputError,
    NotFound, Damaged."""
    if target == "gguf":
        from nanosmith.recipes.exports.gguf import write_gguf

        return write_gguf(bundle, folder, cache)
    graph = GRAPHS[bundle.manifest.predictor](bundle)
    written = CONVERTERS[target](graph, folder) if target in CONVERTERS else _onnx(graph, folder, portable)
    about = {**form(bundle), "target": target, "graph": written.graph, **graph.reading, **written.about}
    (folder / FORM_FILE).write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for name in (TOKENIZER_FILE, SPELLING_FILE, VOCABULARY_FILE):
        if name in bundle.manifest.files:
            shutil.copyfile(bundle.file(name), folder / name)
    for name in FILES.get(target, ("example.py",)):
        with resources.as_file(resources.files("nanosmith.recipes.exports") / "files" / name) as file:
            shutil.copyfile(file, folder / name)
    return written


def form(bundle: Bundle) -> dict[str, Any]:
    """What is not in the graph, and the bundle itself."""
    manifest = bundle.manifest
    scope = manifest.scope
    return {
        "name": manifest.name,
        "nanosmith": __version__,
        "model_digest": manifest.model_digest,
        "predictor": manifest.predictor,
        "kind": manifest.task.kind,
        "labels": manifest.task.labels,
        "max_tokens": manifest.max_tokens,
        "chars_per_token": CHARS_PER_TOKEN,
        "spelling": SPELLING_FILE in manifest.files,
        "calibration": msgspec.to_builtins(manifest.calibration),
        "scope": scope and {name: getattr(scope, name) for name in ("refuse", "label", "quantiles", "examples")},
    }


def _onnx(graph: Graph, folder: Path, portable: bool) -> Written:
    model = as_portable(graph.model, exact=True) if portable else graph.model
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / GRAPH_FILE))
    operators = {one.domain or "ai.onnx": one.version for one in model.opset_import}
    is_quantised = any(node.op_type == "MatMulInteger" for node in model.graph.node)
    return Written(GRAPH_FILE, operators, notes=(BY_ROWS,) if is_quantised else ())
