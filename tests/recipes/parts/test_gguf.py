from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from nanosmith.core.errors import Damaged, InputError
from nanosmith.recipes import base_folder
from nanosmith.recipes.base_folder import find_base, find_decoder
from nanosmith.recipes.parts.gguf import convert
from nanosmith.store.bundles import sha256_of

HEADS, WIDTH, DEEP = 2, 32, 64


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(of: Any) -> bytes:
    """A typed value: text, whole number, fraction, truth, or a list of texts or numbers."""
    if isinstance(of, bool):
        return struct.pack("<I?", 7, of)
    if isinstance(of, str):
        return struct.pack("<I", 8) + text(of)
    if isinstance(of, float):
        return struct.pack("<If", 6, of)
    if isinstance(of, int):
        return struct.pack("<II", 4, of)
    kind = 8 if isinstance(of[0], str) else 5
    return struct.pack("<IIQ", 9, kind, len(of)) + b"".join(text(v) if kind == 8 else struct.pack("<i", v) for v in of)


def write_gguf(path: Path, said: dict[str, Any], tensors: dict[str, tuple[int, tuple[int, ...], bytes]]) -> Path:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(said))
    head += b"".join(text(name) + value(content) for name, content in said.items())
    place, body = 0, b""
    for name, (type, shape, content) in tensors.items():
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape[::-1])
        head += struct.pack("<IQ", type, place)
        body += content + bytes(-len(content) % 32)
        place = len(body)
    path.write_bytes(head + bytes(-len(head) % 32) + body)
    return path


def f32(array: NDArray[np.float32]) -> tuple[int, tuple[int, ...], bytes]:
    return 0, array.shape, array.astype("<f4").tobytes()


def said() -> dict[str, Any]:
    tokens = ["<|unk|>", "<|turn|>", "<|end|>", *"abcdefghij", "ab", *(chr(0x100 + i) for i in range(50))]
    return {
        "general.architecture": "llama", "llama.block_count": 1, "llama.context_length": 128,
        "llama.embedding_length": WIDTH, "llama.feed_forward_length": DEEP, "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS, "llama.rope.freq_base": 10000.0, "llama.rope.dimension_count": 16,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": [3, 3, 3] + [1] * (len(tokens) - 3),
        "tokenizer.ggml.merges": ["a b"], "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0, "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.add_bos_token": False, "tokenizer.chat_template": "{{ messages[0]['content'] }}",
    }  # fmt: skip


def tensors() -> dict[str, tuple[int, tuple[int, ...], bytes]]:
    random = np.random.default_rng(0)
    shapes = {
        "token_embd": (64, WIDTH), "output_norm": (WIDTH,), "blk.0.attn_norm": (WIDTH,), "blk.0.ffn_norm": (WIDTH,),
        "blk.0.attn_q": (WIDTH, WIDTH), "blk.0.attn_k": (WIDTH, WIDTH), "blk.0.attn_v": (WIDTH, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH), "blk.0.ffn_gate": (DEEP, WIDTH), "blk.0.ffn_up": (DEEP, WIDTH),
        "blk.0.ffn_down": (WIDTH, DEEP),
    }  # fmt: skip
    return {f"{name}.weight": f32(random.normal(size=shape).astype(np.float32)) for name, shape in shapes.items()}


def test_a_file_becomes_a_folder_of_transformers(tmp_path: Path) -> None:
    """Names, shapes, the order of each head's rows, tokenizer and template are those that transformers reads."""
    from transformers import AutoModelForCausalLM

    given = tensors()
    convert(write_gguf(tmp_path / "a.gguf", said(), given), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    q = np.frombuffer(given["blk.0.attn_q.weight"][2], dtype="<f4").reshape(WIDTH, WIDTH).astype(np.float16)
    found = weights["model.layers.0.self_attn.q_proj.weight"]
    np.testing.assert_array_equal(found[:8], q[0:16:2])  # the first halves of the turned pairs of head 0
    np.testing.assert_array_equal(found[24:], q[17::2])
    model, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.config.rope_parameters["rope_theta"] == 10000.0
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.encode("<|turn|>abc<|end|>").ids == [1, 13, 5, 2]
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["eos_token"] == "<|end|>"


@pytest.mark.parametrize(
    ("type", "raw", "wanted"),
    [
        (3, np.array([0.5, -2.0], np.float16).tobytes() + bytes([0x21] * 16), [-1.5] * 16 + [-1.0] * 16),
        (2, np.array([0.5], np.float16).tobytes() + bytes([0x21] * 16), [-3.5] * 16 + [-3.0] * 16),
        (8, np.array([0.5], np.float16).tobytes() + np.arange(-16, 16, dtype=np.int8).tobytes(),
         (np.arange(-16, 16) / 2).tolist()),
        (1, np.arange(32).astype(np.float16).tobytes(), list(range(32))),
    ],
)  # fmt: skip
def test_quantised_values(tmp_path: Path, type: int, raw: bytes, wanted: list[float]) -> None:
    """Blocks of 32: Q4_1 is scale times number plus least, Q4_0 scale times (number - 8), Q8_0 scale times number."""
    given = tensors() | {"output_norm.weight": (type, (WIDTH,), raw)}
    convert(write_gguf(tmp_path / "a.gguf", said(), given), tmp_path)
    assert load_file(tmp_path / "model.safetensors")["model.norm.weight"].tolist() == wanted


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"general.architecture": "mamba"}, "architecture"),
        ({"tokenizer.ggml.pre": "llama-bpe"}, "tokenizer"),
    ],
)
def test_other_models_are_refused(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    """What cannot be read is named."""
    with pytest.raises(InputError, match=match):
        convert(write_gguf(tmp_path / "a.gguf", said() | change, tensors()), tmp_path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """A file that is cut, or none of this format, is an error in words."""
    whole = write_gguf(tmp_path / "a.gguf", said(), tensors()).read_bytes()
    for content in (whole[:200], whole[:-4000], b"something else" * 20):
        (tmp_path / "b.gguf").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            convert(tmp_path / "b.gguf", tmp_path)


def test_the_packages_file_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that comes as GGUF is written into the cache once, and weights that changed there are refused."""
    file = write_gguf(tmp_path / "a.gguf", said(), tensors())
    entry = {"kind": "decoder", "hub": "a/b", "requirement": "c", "file": "a.gguf", "sha256": sha256_of(file)}
    monkeypatch.setattr(base_folder, "catalogue", lambda: {"small": entry})
    monkeypatch.setattr(base_folder, "_package_folder", lambda entry: tmp_path)
    found = find_decoder("small", tmp_path / "cache")
    written = (found.path / "model.safetensors").stat().st_mtime_ns
    again = find_decoder("small", tmp_path / "cache")
    assert (again, (again.path / "model.safetensors").stat().st_mtime_ns) == (found, written)
    (found.path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(Damaged, match="have changed"):
        find_decoder("small", tmp_path / "cache")
    with pytest.raises(InputError, match="no encoder"):
        find_base("small")
