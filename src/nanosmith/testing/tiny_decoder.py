"""A base decoder of some hundred kilobytes with random weights, for tests of what is done with one. Needs torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ("<|end|>", "<|turn|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|turn|>' + message['role'] + '\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|turn|>assistant\\n' }}{% endif %}"
)
WIDTH, LAYERS, CONTEXT = 64, 2, 512


def save_tiny_decoder(folder: Path, model_type: str = "llama", *, template: str | None = TEMPLATE, **more: Any) -> Path:
    """Write a folder of transformers: a decoder of 2 layers over bytes. `more` goes to its config."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    sizes = {
        "vocab_size": tokenizer.get_vocab_size(), "hidden_size": WIDTH, "intermediate_size": 128, "head_dim": 16,
        "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT, "initializer_range": 0.1, "tie_word_embeddings": True,
        "bos_token_id": 1, "eos_token_id": 0, "pad_token_id": 0,
    }  # fmt: skip
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**sizes, **more}))
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIAL[0], "bos_token": SPECIAL[1]}
    (folder / "tokenizer_config.json").write_text(json.dumps(said | ({"chat_template": template} if template else {})))
    return folder


def _tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*SPECIAL, *alphabet]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in SPECIAL])
    return tokenizer
