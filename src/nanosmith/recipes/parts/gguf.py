"""A decoder in one GGUF file, written as a folder that transformers reads: weights in float16, tokenizer, template.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Read is what a known base needs: Llama's layout,
the quantisations below, and a byte-level BPE that takes numbers apart digit by digit (`smollm`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from nanosmith.core.errors import InputError

MAGIC, ALIGNMENT, BLOCK = b"GGUF", 32, 32
NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
TEXT, LIST, CONTROL = 8, 9, 3  # types of values, and the type of a token that is no text
BLOCK_BYTES = {0: 4 * BLOCK, 1: 2 * BLOCK, 2: 18, 3: 20, 8: 34}  # of F32, F16, Q4_0, Q4_1, Q8_0: bytes of 32 values
OF_LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
OF_MODEL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


class _Tensor(msgspec.Struct, frozen=True):
    """`shape` as in numpy: the last axis lies together."""

    shape: tuple[int, ...]
    type: int
    start: int


def convert(file: Path, folder: Path) -> None:
    """Write config.json, tokenizer.json, tokenizer_config.json and model.safetensors. Raises InputError."""
    content = np.memmap(file, dtype=np.uint8, mode="r")
    try:
        said, tensors = _read(content)
        weights = {_name(name): _values(content, tensor) for name, tensor in tensors.items()}
    except (struct.error, KeyError, ValueError, UnicodeDecodeError) as error:
        raise InputError("this GGUF file cannot be read", where=str(file), got=f"{type(error).__name__}: {error}",
                         allowed="a decoder built as Llama is, in F32, F16, Q4_0, Q4_1 or Q8_0") from error  # fmt: skip
    config = _config(said, tied="lm_head.weight" not in weights)
    for name, heads in (("q_proj", config["num_attention_heads"]), ("k_proj", config["num_key_value_heads"])):
        for layer in range(config["num_hidden_layers"]):
            place = f"model.layers.{layer}.self_attn.{name}.weight"
            weights[place] = _in_halves(weights[place], heads)
    (folder / "model.safetensors").write_bytes(save(weights, {"format": "pt"}))
    _write_json(folder / "config.json", config)
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(said))
    _tokenizer(said).save(str(folder / "tokenizer.json"))


def _read(content: NDArray[np.uint8]) -> tuple[dict[str, Any], dict[str, _Tensor]]:
    """What the file says of the model, and where its tensors are."""
    reader = _Reader(content)
    if reader.bytes(4) != MAGIC or reader.number("<I") not in (2, 3):
        raise ValueError("no GGUF of version 2 or 3")
    tensors, pairs = reader.number("<Q"), reader.number("<Q")
    said = {reader.text(): reader.value(reader.number("<I")) for _ in range(pairs)}
    found = {}
    for _ in range(tensors):
        name = reader.text()
        shape = tuple(reader.number("<Q") for _ in range(reader.number("<I")))[::-1]
        found[name] = _Tensor(shape, reader.number("<I"), reader.number("<Q"))
    begin = -(-reader.place // ALIGNMENT) * ALIGNMENT
    return said, {name: msgspec.structs.replace(one, start=begin + one.start) for name, one in found.items()}


class _Reader:
    """Values one after the other."""

    def __init__(self, content: NDArray[np.uint8]) -> None:
        self._content, self.place = content, 0

    def bytes(self, count: int) -> bytes:
        self.place += count
        if self.place > len(self._content):
            raise ValueError("the file ends too early")
        return self._content[self.place - count : self.place].tobytes()

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def text(self) -> str:
        return self.bytes(self.number("<Q")).decode()

    def value(self, type: int) -> Any:
        if type == TEXT:
            return self.text()
        if type == LIST:
            inner = self.number("<I")
            return [self.value(inner) for _ in range(self.number("<Q"))]
        return self.number(NUMBERS[type])


def _values(content: NDArray[np.uint8], tensor: _Tensor) -> NDArray[np.float16]:
    """The tensor's values, dequantised."""
    blocks = int(np.prod(tensor.shape)) // BLOCK
    raw = content[tensor.start : tensor.start + blocks * BLOCK_BYTES[tensor.type]].reshape(blocks, -1)
    if tensor.type in (0, 1):
        flat = raw.view(np.float32 if tensor.type == 0 else np.float16)
        return flat.astype(np.float16).reshape(tensor.shape)
    scale = raw[:, :2].copy().view(np.float16).astype(np.float32)  # (blocks, 1)
    if tensor.type == 8:
        values = scale * raw[:, 2:].view(np.int8)
    else:
        halves = raw[:, -BLOCK // 2 :]
        numbers = np.concatenate([halves & 15, halves >> 4], axis=1).astype(np.float32)
        least = -8 * scale if tensor.type == 2 else raw[:, 2:4].copy().view(np.float16).astype(np.float32)
        values = scale * numbers + least
    return values.astype(np.float16).reshape(tensor.shape)


def _name(name: str) -> str:
    """`blk.0.attn_q.weight` as transformers calls it. Raises KeyError."""
    head, _, last = name.rpartition(".")
    if not head.startswith("blk."):
        return f"{OF_MODEL[head]}.{last}"
    _, layer, part = head.split(".")
    return f"model.layers.{layer}.{OF_LAYER[part]}.{last}"


def _in_halves(weight: NDArray[np.float16], heads: int) -> NDArray[np.float16]:
    """Rows of each head in transformers' order: GGUF has the two numbers that a rotary position turns side by side."""
    pairs = weight.reshape(heads, -1, 2, weight.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(weight.shape))


def _config(said: Mapping[str, Any], *, tied: bool) -> dict[str, Any]:
    if said["general.architecture"] != "llama":
        raise InputError("this architecture cannot be read from GGUF", got=said["general.architecture"],
                         allowed="llama", remedy="Name a folder of transformers.")  # fmt: skip
    of = {name.removeprefix("llama."): value for name, value in said.items()}
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float16", "hidden_act": "silu",
        "vocab_size": len(said["tokenizer.ggml.tokens"]), "hidden_size": of["embedding_length"],
        "intermediate_size": of["feed_forward_length"], "num_hidden_layers": of["block_count"],
        "num_attention_heads": of["attention.head_count"], "num_key_value_heads": of["attention.head_count_kv"],
        "head_dim": of["rope.dimension_count"], "max_position_embeddings": of["context_length"],
        "rms_norm_eps": round(of["attention.layer_norm_rms_epsilon"], 12), "rope_theta": of["rope.freq_base"],
        "rope_parameters": {"rope_theta": of["rope.freq_base"], "rope_type": "default"},
        "attention_bias": False, "attention_dropout": 0.0, "mlp_bias": False, "initializer_range": 0.02,
        "tie_word_embeddings": tied, "use_cache": True, "bos_token_id": said["tokenizer.ggml.bos_token_id"],
        "eos_token_id": said["tokenizer.ggml.eos_token_id"], "pad_token_id": said["tokenizer.ggml.padding_token_id"],
    }  # fmt: skip


def _tokenizer(said: Mapping[str, Any]) -> Tokenizer:
    if (said["tokenizer.ggml.model"], said["tokenizer.ggml.pre"]) != ("gpt2", "smollm"):
        raise InputError("this tokenizer cannot be read from GGUF", got=said["tokenizer.ggml.pre"], allowed="smollm",
                         remedy="Name a folder of transformers.")  # fmt: skip
    tokens = said["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in said["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, type in zip(tokens, said["tokenizer.ggml.token_type"]) if type == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    return tokenizer


def _tokenizer_config(said: Mapping[str, Any]) -> dict[str, Any]:
    tokens = said["tokenizer.ggml.tokens"]
    names = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    special = {name: tokens[said[f"tokenizer.ggml.{key}_token_id"]] for name, key in names.items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": False, "clean_up_tokenization_spaces": False,
        "model_max_length": said["llama.context_length"], "chat_template": said["tokenizer.chat_template"], **special,
    }  # fmt: skip


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
