"""Decoders for the runtime: a base becomes one quantised ONNX graph, an adapter the matrices that the graph takes.

onnxruntime-genai's model builder makes the graph. Two things are then added to it: a place for an adapter beside every
linear layer, y = x·W + (x·A)·B with matrices that are inputs (of rank 0 unless given), and a choice of the rows whose
logits are wanted. The layout is written down in predict/decoder.py.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from nanosmith.core.errors import InputError, MissingExtra
from nanosmith.predict.decoder import (
    ADAPTER_FILE,
    DECODER_FILE,
    GOLDEN_FILE,
    TEMPLATE_FILE,
    DecoderFile,
    Part,
)
from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.text.graph import GRAPH_FILE, LOGITS, LORA, PAST, PRESENT, ROWS
from nanosmith.recipes.parts.chat import Chat
from nanosmith.store.bundles import Bundle

Precision: TypeAlias = Literal["int4", "int8", "fp32"]
Weights: TypeAlias = dict[str, np.ndarray]
Shapes: TypeAlias = Mapping[str, tuple[int, int]]
WEIGHTS_FILE = "model.onnx.data"
SHARED_FILES = (TOKENIZER_FILE, TEMPLATE_FILE, GOLDEN_FILE)
PLACE = re.compile(r"/model/layers\.(\d+)/(\w+)/(\w+)/MatMul\w*")
HEAD = re.compile(r"/lm_head/MatMul\w*")
PACKED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj"), "o_proj": ("dense",)}
"""Layers that the builder joins or names otherwise, and what they are in transformers."""
HALVES = {"gate_proj": ("gate_up_proj", 0), "up_proj": ("gate_up_proj", 1)}
"""Layers that the builder makes of halves of a joined one."""
QUANTISED = {
    "int4": ("block_size=32", "accuracy_level=4"),
    "int8": ("block_size=32", "accuracy_level=4"),
    "fp32": (),
}
"""The builder's options. Level 4 multiplies in 8 bits; with a zero point (is_symmetric=false) it writes a graph whose
embeddings do not load."""


def write_base(hf_folder: Path, folder: Path, precision: Precision = "int8") -> None:
    """What a base's bundle holds, into `folder`, from a folder of transformers.

    Raises MissingExtra, InputError for a model that the builder or the runtime cannot handle.
    """
    chat = Chat(hf_folder)
    with tempfile.TemporaryDirectory() as made:
        build(hf_folder, Path(made), precision)
        graph = onnx.load(str(Path(made) / GRAPH_FILE), load_external_data=False)
        places = _add_adapters(graph.graph, _linear_shapes(hf_folder))
        _choose_rows(graph.graph)
        _say_width(graph.graph, hf_folder)
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(graph, str(folder / GRAPH_FILE))
        shutil.move(Path(made) / WEIGHTS_FILE, folder / WEIGHTS_FILE)
    _write(folder / DECODER_FILE, DecoderFile(None, chat.ends, chat.special, places))
    shutil.copyfile(hf_folder / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    (folder / TEMPLATE_FILE).write_text(chat.template, encoding="utf-8")
    _write(folder / GOLDEN_FILE, chat.golden())


def write_adapter(peft_folder: Path, base: Bundle, folder: Path) -> None:
    """What a fine-tuned model's bundle holds, into `folder`, from an adapter as peft writes it.

    Raises InputError where the adapter is of a form, or of a base, that the graph does not take.
    """
    form = msgspec.json.decode((base.path / DECODER_FILE).read_bytes(), type=DecoderFile)
    config = msgspec.json.decode((peft_folder / "adapter_config.json").read_bytes())
    _check_peft(config, peft_folder)
    weights = load_file(peft_folder / "adapter_model.safetensors")
    used: set[str] = set()
    found = _adapter(weights, config, form.places, _layers(base), used)
    if left := sorted(name for name in weights if "lora_" in name and name not in used):
        raise InputError(
            "the adapter was made for another base", where=str(peft_folder), got=left[0],
            allowed=", ".join(sorted(form.places)), code="adapter_mismatch",
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    save_file(found, folder / ADAPTER_FILE)
    _write(folder / DECODER_FILE, DecoderFile(base.manifest.model_digest, form.ends, form.special))
    for name in SHARED_FILES:
        shutil.copyfile(base.path / name, folder / name)


def build(hf_folder: Path, folder: Path, precision: Precision) -> None:
    """The model builder's own folder, as onnxruntime-genai reads it. Raises MissingExtra, InputError."""
    try:
        from onnxruntime_genai.models.builder import create_model, parse_extra_options
    except ImportError as error:
        raise MissingExtra("onnxruntime-genai", "train") from error
    try:
        with silence(), tempfile.TemporaryDirectory() as cache:
            names = (None, str(hf_folder), str(folder), precision, "cpu", cache)
            options = parse_extra_options(*names, list(QUANTISED[precision]))
            create_model(*names, **options)
    except (NotImplementedError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"this model cannot be made into a graph: {str(error)[:200]}", where=str(hf_folder), param="base"
        ) from error


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Converters print each step and their progress."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _linear_shapes(hf_folder: Path) -> Shapes:
    """(in, out) of each linear layer of the first block, by its name in the block."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(hf_folder))
    return {
        name.split(".layers.0.")[1]: (layer.in_features, layer.out_features)
        for name, layer in model.named_modules()
        if ".layers.0." in name and isinstance(layer, torch.nn.Linear)
    }


def _add_adapters(graph: onnx.GraphProto, shapes: Shapes) -> dict[str, tuple[Part, ...]]:
    """Adds the places to the graph, in order; which parts of an adapter belong to which place."""
    places: dict[str, tuple[Part, ...]] = {}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        match = PLACE.fullmatch(node.name)
        if match is None or node.op_type not in ("MatMul", "MatMulNBits"):
            continue
        place = f"{match[2]}.{match[3]}"
        parts = _parts(match[2], match[3], shapes)
        if parts:
            places[place] = parts
            name = f"{LORA}{match[1]}.{place}"
            nodes += _beside(graph, node, name, width=shapes[parts[0].layer][0], out=parts[-1].end)
    if missing := sorted(set(shapes) - {part.layer for parts in places.values() for part in parts}):
        raise InputError("this model cannot take an adapter everywhere", got=", ".join(missing), param="base")
    del graph.node[:]
    graph.node.extend(nodes)
    return places


def _parts(group: str, name: str, shapes: Shapes) -> tuple[Part, ...]:
    """The layers of transformers that a layer of the graph stands for, with their columns of its output."""
    known = {layer.rsplit(".", 1)[1]: layer for layer in shapes}
    if name not in known and name in HALVES and HALVES[name][0] in known:
        whole, half = HALVES[name]
        size = shapes[known[whole]][1] // 2
        return (Part(known[whole], 0, size, half * size),)
    names = (name,) if name in known else PACKED.get(name, ())
    parts, start = [], 0
    for one in names:
        if one not in known:
            return ()
        end = start + shapes[known[one]][1]
        parts.append(Part(known[one], start, end))
        start = end
    return tuple(parts)


def _beside(graph: onnx.GraphProto, node: onnx.NodeProto, name: str, *, width: int, out: int) -> list[onnx.NodeProto]:
    """y = x·W becomes y = x·W + (x·A)·B."""
    result = node.output[0]
    node.output[0] = f"{name}.base"
    for letter, shape, declared in (("a", (width, 0), (width, "rank")), ("b", (0, out), ("rank", out))):
        graph.initializer.append(numpy_helper.from_array(np.zeros(shape, dtype=np.float32), f"{name}.{letter}"))
        graph.input.append(helper.make_tensor_value_info(f"{name}.{letter}", TensorProto.FLOAT, declared))
    return [
        helper.make_node("MatMul", [node.input[0], f"{name}.a"], [f"{name}.inner"], name=f"{name}/inner"),
        helper.make_node("MatMul", [f"{name}.inner", f"{name}.b"], [f"{name}.delta"], name=f"{name}/delta"),
        helper.make_node("Add", [f"{name}.base", f"{name}.delta"], [result], name=f"{name}/Add"),
    ]


def _choose_rows(graph: onnx.GraphProto) -> None:
    """Only wanted rows reach the head: a prompt's logits would be thrown away, all but the last."""
    heads = [i for i, node in enumerate(graph.node) if HEAD.fullmatch(node.name)]
    if not heads:
        raise InputError("this model has no language-modelling head that is known", param="base")
    head = graph.node[heads[0]]
    graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), ROWS))
    graph.input.append(helper.make_tensor_value_info(ROWS, TensorProto.INT64, ["rows"]))
    gather = helper.make_node("Gather", [head.input[0], ROWS], ["rows.hidden"], name="/rows/Gather", axis=1)
    head.input[0] = "rows.hidden"
    graph.node.insert(heads[0], gather)
    for value in (*graph.output, *graph.value_info):
        if value.name == LOGITS or value.name.startswith("/lm_head/"):
            value.type.tensor_type.shape.dim[1].dim_param = "rows"


def _say_width(graph: onnx.GraphProto, hf_folder: Path) -> None:
    """The last size of keys and values, which the builder leaves open."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(hf_folder)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    for value in (*graph.input, *graph.output):
        if value.name.startswith((PAST, PRESENT)):
            value.type.tensor_type.shape.dim[3].dim_value = width


def _check_peft(config: Mapping[str, Any], where: Path) -> None:
    odd = [
        name for name in ("use_dora", "modules_to_save", "trainable_token_indices", "alpha_pattern") if config.get(name)
    ]
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none" or odd:
        raise InputError(
            "this form of adapter cannot be served", where=str(where), got=", ".join(odd) or config.get("peft_type"),
            allowed="LoRA on linear layers, without biases and without other trained weights",
        )  # fmt: skip


def _adapter(
    weights: Weights, config: Mapping[str, Any], places: Mapping[str, Sequence[Part]], layers: int, used: set[str]
) -> Weights:
    """The graph's matrices; names of `weights` that they were made of join `used`. A place of several layers has their
    ranks side by side: A (in, sum of ranks), B block-diagonal."""
    found: Weights = {}
    for place, parts in places.items():
        for layer in range(layers):
            trained = [(part, *pair) for part in parts if (pair := _pair(weights, config, layer, part, used))]
            if not trained:
                continue
            matrix = np.zeros((sum(a.shape[1] for _, a, _ in trained), parts[-1].end), dtype=np.float32)
            row = 0
            for part, _, b in trained:
                matrix[row : row + len(b), part.start : part.end] = b
                row += len(b)
            name = f"{LORA}{layer}.{place}"
            found[f"{name}.a"] = np.ascontiguousarray(np.concatenate([a for _, a, _ in trained], axis=1))
            found[f"{name}.b"] = matrix
    return found


def _pair(
    weights: Weights, config: Mapping[str, Any], layer: int, part: Part, used: set[str]
) -> tuple[np.ndarray, np.ndarray] | None:
    """A (in, rank) and B (rank, out) of one part, scaled; None where it was not trained."""
    end = f".layers.{layer}.{part.layer}."
    names = {name.rsplit(end, 1)[1]: name for name in weights if end in name}
    if not names:
        return None
    used.update(names.values())
    a, b = (weights[names[f"lora_{letter}.weight"]].astype(np.float32) for letter in "AB")
    alpha, rank = float(config["lora_alpha"]), len(a)
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    columns = b.T[:, part.first : part.first + part.end - part.start]
    if columns.shape[1] != part.end - part.start:
        raise InputError(
            "the adapter was made for another base",
            got=f"{part.layer} with {len(b)} outputs", allowed=part.first + part.end - part.start,
            code="adapter_mismatch",
        )  # fmt: skip
    return a.T, columns * np.float32(scale)


def _layers(base: Bundle) -> int:
    graph = onnx.load(str(base.path / GRAPH_FILE), load_external_data=False).graph
    found = {int(part.name.split(".")[1]) for part in graph.input if part.name.startswith(LORA)}
    return len(found)


def _write(file: Path, content: Any) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
