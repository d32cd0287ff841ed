"""A base decoder, opened: its chat, and fresh copies of its model with an adapter to be trained (LoRA, Hu et al. 2021).

On a GPU the base is read in 4 bits through bitsandbytes (QLoRA, Dettmers et al. 2023); that path has not been tested.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from nanosmith.core.errors import InputError, MissingExtra
from nanosmith.recipes.base_folder import BaseFolder
from nanosmith.recipes.parts.chat import Chat
from nanosmith.recipes.parts.decoder_forward import LIKE_LLAMA
from nanosmith.recipes.parts.forward import training_type
from nanosmith.store.bundles import Bundle

RANK, SCALE = 16, 2.0
SUPPORTED = (*LIKE_LLAMA, "gemma", "gemma2", "gemma3_text", "phi", "phi3")
KEPT_BY_PEFT = ("adapter_config.json", "adapter_model.safetensors")


class Decoder:
    """Opened once per run. `max_tokens` are of the context."""

    def __init__(self, folder: BaseFolder) -> None:
        self.folder = folder
        self.config = folder.config
        kind = self.config.get("model_type")
        if kind not in SUPPORTED:
            raise InputError("this base is no decoder that can be tuned", where=str(folder.path), got=kind,
                             allowed=", ".join(SUPPORTED), param="base",
                             remedy="Decoders write texts; encoders read, for labels and records.")  # fmt: skip
        self.chat = Chat(folder.path)
        self.max_tokens = int(self.config["max_position_embeddings"])
        self.served: Bundle | None = None  # the same base, sealed for the runtime; set before a model is written
        self.is_copied = False  # into each model's bundle, so that it needs nothing beside it

    @property
    def is_fast(self) -> bool:
        """Whether the forward pass made for CPUs knows it."""
        return self.config["model_type"] in LIKE_LLAMA and not torch.cuda.is_available()

    @property
    def dtype(self) -> torch.dtype:
        """Of the matrix products in training."""
        return torch.bfloat16 if torch.cuda.is_available() else training_type()

    def new_model(self, seed: int) -> Any:
        """A fresh copy as peft's model, all weights frozen but those of the adapter, which are in float32."""
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise MissingExtra("peft", "train") from error
        model = self._on_gpu() if torch.cuda.is_available() else self._on_cpu()
        torch.manual_seed(seed)
        config = LoraConfig(r=RANK, lora_alpha=int(RANK * SCALE), lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
                            target_modules="all-linear")  # fmt: skip
        adapted = get_peft_model(model, config)
        adapted.peft_config["default"].base_model_name_or_path = self.folder.name  # not where it lies on this machine
        return adapted

    def _on_cpu(self) -> Any:
        model = _load(self.folder.path, dtype=torch.float32)
        if self.is_fast:
            for part in model.modules():
                if isinstance(part, torch.nn.Linear | torch.nn.Embedding):
                    part.to(self.dtype)
        return model

    def _on_gpu(self) -> Any:
        from transformers import BitsAndBytesConfig

        bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                  bnb_4bit_compute_dtype=torch.bfloat16)  # fmt: skip
        return _load(self.folder.path, dtype=torch.bfloat16, quantization_config=bits, device_map={"": 0})


def save_adapter(model: Any, folder: Path) -> None:
    """The adapter alone, as peft writes it: adapter_config.json and adapter_model.safetensors."""
    model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    for file in folder.iterdir():
        if file.name not in KEPT_BY_PEFT:
            file.unlink()


def _load(path: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as chatter

    chatter.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    return AutoModelForCausalLM.from_pretrained(path, local_files_only=True, use_safetensors=True, **options).eval()
