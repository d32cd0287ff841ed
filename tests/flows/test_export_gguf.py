"""A decoder as GGUF: what transformers reads of it is the base with the adapter merged."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from nanosmith.core.errors import Damaged
from nanosmith.core.manifest import BaseRef
from nanosmith.flows.export import export
from nanosmith.store.bundles import Bundle, seal, sha256_of
from nanosmith.testing.tiny_text import save_random_adapter, save_tiny, seal_adapter, seal_base


@pytest.fixture(scope="module")
def hf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("hf"))


@pytest.fixture
def model(hf: Path, tmp_path: Path) -> Bundle:
    """A model with an adapter, whose base is found by its folder."""
    adapted = seal_adapter(seal_base(hf, tmp_path), save_random_adapter(hf, tmp_path / "peft", 3), tmp_path / "adapted")
    ref = BaseRef(str(hf), sha256_of(hf / "model.safetensors"))
    (adapted.path / "manifest.json").unlink()
    return seal(adapted.path, msgspec.structs.replace(adapted.manifest, base=ref, files={}), tmp_path / "model")


def test_weights_are_merged(model: Bundle, hf: Path, tmp_path: Path) -> None:
    """Transformers reads the weights that peft merges, up to float16; the example was run. (Texts of random weights are
    another matter: one rounding changes all that follows.)"""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    exported = export(model.path, "gguf", tmp_path / "out", inputs=["hello", "and now?"])
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(hf), tmp_path / "peft").merge_and_unload()
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "out", gguf_file="model.gguf", dtype=torch.float32)
    ids = torch.arange(2, 40)[None]
    with torch.inference_mode():
        assert torch.allclose(read(ids).logits, merged(ids).logits, atol=0.05, rtol=0.01)
    python, llama = exported.checks
    assert (python.ran, python.texts) == (True, 2)
    assert not llama.ran
    about = json.loads((tmp_path / "out" / "model.json").read_text())
    assert about["ends"]


def test_another_base_is_refused(model: Bundle, tmp_path: Path) -> None:
    """An adapter is never merged into weights that it was not trained on."""
    wrong = msgspec.structs.replace(model.manifest.base, sha256="0" * 64)
    (model.path / "manifest.json").unlink()
    other = seal(model.path, msgspec.structs.replace(model.manifest, base=wrong, files={}), tmp_path / "other")
    with pytest.raises(Damaged, match="not those that the model was tuned on"):
        export(other.path, "gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()
