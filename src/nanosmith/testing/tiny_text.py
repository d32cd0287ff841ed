"""Sealed bundles of a tiny decoder with random weights: a base, and models with adapters. Needs torch and peft."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest
from nanosmith.core.task import Task
from nanosmith.predict.decoder import base_name
from nanosmith.recipes.parts.decoder_export import Precision, write_adapter, write_base
from nanosmith.store.bundles import Bundle, seal
from nanosmith.testing.tiny_decoder import CONTEXT, TEMPLATE, save_tiny_decoder
from nanosmith.version import __version__

SIZES: dict[str, Any] = {"hidden_size": 64, "head_dim": 16, "intermediate_size": 128}
"""Of a decoder that the runtime takes: its attention works on heads of 16 and more."""


class TinyText(NamedTuple):
    """A folder of transformers, its base's bundle, adapters as peft writes them, and the models' bundles."""

    hf: Path
    base: Bundle
    peft: tuple[Path, ...]
    models: tuple[Bundle, ...]


def seal_base(hf_folder: Path, bundles: Path, precision: Precision = "fp32") -> Bundle:
    """The base's bundle in `bundles`, under the name that models look for."""
    with tempfile.TemporaryDirectory(dir=bundles) as made:
        write_base(hf_folder, Path(made) / "draft", precision)
        sealed = seal(Path(made) / "draft", manifest("base", Task(kind="text")), Path(made) / "sealed")
        out = bundles / base_name(sealed.manifest.model_digest)
        sealed.path.rename(out)
    return Bundle(out, sealed.manifest)


def seal_adapter(base: Bundle, peft_folder: Path, out: Path, task: Task | None = None) -> Bundle:
    draft = out.with_name(out.name + ".draft")
    write_adapter(peft_folder, base, draft)
    return seal(draft, manifest(out.name, task or Task(kind="text")), out)


def save_random_adapter(hf_folder: Path, folder: Path, seed: int, rank: int = 4) -> Path:
    """An adapter on all linear layers, as peft writes it, strong enough to change what is written."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(hf_folder), config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, matrix in model.named_parameters():
            if "lora_" in name:
                matrix.normal_(0, 0.2)
    model.save_pretrained(str(folder))
    return folder


def save_tiny(folder: Path) -> Path:
    """A folder of transformers that can be exported."""
    return save_tiny_decoder(folder, "llama", template=TEMPLATE, **SIZES)


def manifest(name: str, task: Task, max_tokens: int = CONTEXT) -> Manifest:
    return Manifest(
        name=name, created_at=1_700_000_000, predictor="decoder/1", recipe="test/1", task=task, max_tokens=max_tokens,
        base=BaseRef("tiny", "0" * 64), data=DataRef("0" * 64, 10, 0), calibration=Calibration(), settings={}, notes={},
        files={}, nanosmith=__version__,
    )  # fmt: skip
