"""A decoder with its adapter merged, as one GGUF file for llama.cpp and what is built on it.

Weights are merged in float32 and written in float16 (norms in float32), those of llama in the order in which llama.cpp
turns rotary positions. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import gguf
import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file

from nanosmith.core.errors import Damaged, InputError
from nanosmith.predict.decoder import (
    ADAPTER_FILE,
    DECODER_FILE,
    MAX_PREDICTED_TOKENS,
    TEMPLATE_FILE,
    DecoderFile,
    find_base,
)
from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.text.graph import LORA
from nanosmith.recipes.base_folder import SHARDS, BaseFolder, find_decoder
from nanosmith.recipes.exports.written import Written
from nanosmith.store.bundles import Bundle

FILE = "model.gguf"
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""By the model type of transformers."""
TURNED = "llama"  # the architecture whose queries and keys are written in pairs
NORMAL, CONTROL = 1, 3  # types of tokens
HIGHEST = float(np.finfo(np.float16).max)
PRE_OF_SPLIT = {
    r"\p{N}{1,3}": "llama-bpe",
    r"\p{N}|": "qwen2",
}
"""How numbers are split tells the tokenizers of llama.cpp apart that split by a pattern."""
Array = NDArray[Any]


def write_gguf(bundle: Bundle, folder: Path, cache: Path) -> Written:
    """model.gguf, tokenizer.json, chat_template.jinja and example.py. Raises InputError, NotFound, Damaged."""
    base = _base_folder(bundle, cache)
    config = base.config
    if config["model_type"] not in ARCHITECTURES:
        raise InputError("this base has no form in GGUF here", got=config["model_type"],
                         allowed=", ".join(ARCHITECTURES), param="to")  # fmt: skip
    architecture = ARCHITECTURES[config["model_type"]]
    writer = gguf.GGUFWriter(folder / FILE, architecture)
    _describe(writer, bundle, config)
    _add_tokenizer(writer, bundle, config)
    for name, weight in _merged(bundle, base):
        _add_tensor(writer, name, weight, config, architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for name in (TOKENIZER_FILE, TEMPLATE_FILE):
        shutil.copyfile(bundle.file(name), folder / name)
    said = msgspec.json.decode(bundle.file(DECODER_FILE).read_bytes(), type=DecoderFile)
    about = {"name": bundle.manifest.name, "graph": FILE, "ends": said.ends, "special": said.special,
             "max_new_tokens": MAX_PREDICTED_TOKENS}  # fmt: skip
    (folder / "model.json").write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    with resources.as_file(resources.files("nanosmith.recipes.exports") / "files" / "example_gguf.py") as file:
        shutil.copyfile(file, folder / "example.py")
    return Written(FILE, notes=(NOTE,))


NOTE = "Weights are in float16, the adapter merged in float32; the bundle's base is in int8, so texts may differ."


def _base_folder(bundle: Bundle, cache: Path) -> BaseFolder:
    """The weights that the adapter was trained on."""
    wanted = bundle.manifest.base
    base = find_decoder(wanted.name, cache)
    if base.sha256 != wanted.sha256:
        raise Damaged(
            "the base's weights are not those that the model was tuned on", where=str(base.path), got=base.sha256,
            allowed=wanted.sha256, remedy="Install the base that it was tuned on.",
        )  # fmt: skip
    return base


def _describe(writer: gguf.GGUFWriter, bundle: Bundle, config: Mapping[str, Any]) -> None:
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    writer.add_name(bundle.manifest.name)
    writer.add_context_length(bundle.manifest.max_tokens)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta", 10_000.0)))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    if rope.get("rope_type", "default") != "default":
        raise InputError("these rotary positions have no form in GGUF here", got=rope["rope_type"], allowed="default")


def _add_tokenizer(writer: gguf.GGUFWriter, bundle: Bundle, config: Mapping[str, Any]) -> None:
    """A byte-level BPE. Ids that no token has become unused ones."""
    read = json.loads(bundle.file(TOKENIZER_FILE).read_text(encoding="utf-8"))
    if read["model"]["type"] != "BPE":
        raise InputError("this tokenizer has no form in GGUF here", got=read["model"]["type"], allowed="BPE")
    special = {token["id"]: token["content"] for token in read["added_tokens"]}
    names = {number: name for name, number in read["model"]["vocab"].items()} | special
    tokens = [names.get(i, f"[PAD{i}]") for i in range(config["vocab_size"])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer(read.get("pre_tokenizer") or {}))
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if i in special else NORMAL for i in range(len(tokens))])
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in read["model"]["merges"]])
    said = msgspec.json.decode(bundle.file(DECODER_FILE).read_bytes(), type=DecoderFile)
    numbers = {name: number for number, name in special.items()}
    if (bos := numbers.get(said.special.get("bos_token", ""))) is not None:
        writer.add_bos_token_id(bos)
    writer.add_eos_token_id(said.ends[0])
    writer.add_add_bos_token(False)  # the template writes it
    writer.add_chat_template(bundle.file(TEMPLATE_FILE).read_text(encoding="utf-8"))


def pre_tokenizer(form: Mapping[str, Any]) -> str:
    """What llama.cpp calls the way in which a text is taken apart before BPE. Raises InputError."""
    steps = form.get("pretokenizers", [form])
    kinds = [step.get("type") for step in steps]
    if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"]:
        return "smollm"
    if kinds == ["ByteLevel"]:
        return "gpt-2"
    if kinds == ["Split", "ByteLevel"]:
        pattern = steps[0]["pattern"].get("Regex", "")
        for part, name in PRE_OF_SPLIT.items():
            if part in pattern:
                return name
    raise InputError("this tokenizer has no form in GGUF here", got=", ".join(map(str, kinds)),
                     allowed="those of SmolLM2, GPT-2, Llama 3, Qwen2 and Qwen3", param="to")  # fmt: skip


def _merged(bundle: Bundle, base: BaseFolder) -> Iterator[tuple[str, Array]]:
    """Names of transformers and float32 weights, with what the adapter adds."""
    added = adapter_weights(bundle)
    for shard in sorted(base.path.glob(SHARDS)):
        with safe_open(shard, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                weight = file.get_tensor(name).float().numpy()
                for first, delta in added.get(name.removesuffix(".weight"), ()):
                    weight[first : first + len(delta)] += delta
                yield name, weight


def adapter_weights(bundle: Bundle) -> dict[str, list[tuple[int, Array]]]:
    """What the adapter adds to rows from `first` on of each layer's weight (out, in), by the layer's name."""
    form = msgspec.json.decode(bundle.file(DECODER_FILE).read_bytes(), type=DecoderFile)
    if form.base is None or ADAPTER_FILE not in bundle.manifest.files:
        return {}
    base = find_base(bundle, form.base)
    places = msgspec.json.decode(base.file(DECODER_FILE).read_bytes(), type=DecoderFile).places
    adapter = load_file(bundle.file(ADAPTER_FILE))
    found: dict[str, list[tuple[int, Array]]] = {}
    for name in (name.removesuffix(".a") for name in adapter if name.endswith(".a")):
        layer, _, place = name.removeprefix(LORA).partition(".")
        delta = (adapter[f"{name}.a"] @ adapter[f"{name}.b"]).T  # (out, in)
        for part in places[place]:
            rows = found.setdefault(f"model.layers.{layer}.{part.layer}", [])
            rows.append((part.first, delta[part.start : part.end]))
    return found


def _add_tensor(
    writer: gguf.GGUFWriter, name: str, weight: Array, config: Mapping[str, Any], architecture: str
) -> None:
    layers = config["num_hidden_layers"]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], layers)
    known = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if known is None:
        raise InputError("a weight of this base has no name in GGUF", got=name, param="to")
    if architecture == TURNED and ".self_attn." in name and name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
        weight = in_pairs(weight, heads)
    is_small = weight.ndim == 1 or float(np.abs(weight).max()) > HIGHEST
    writer.add_tensor(known, weight if is_small else weight.astype(np.float16))


def in_pairs(weight: Array, heads: int) -> Array:
    """Rows of each head so that the two numbers that a rotary position turns stand side by side."""
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))
