"""A base encoder of a few kilobytes with random weights, for tests of what is done with a base. Needs torch."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from nanosmith.testing.tiny import TOPICS

WORDS = sorted({word.lower() for pair in TOPICS.values() for text in pair for word in text.split()})
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"##{c}" for c in "0123456789"), *"0123456789"]
WIDTH, LAYERS = 64, 2


def save_tiny_base(folder: Path, model_type: str = "bert", pooling: str = "mean") -> Path:
    """Write config.json, tokenizer.json, model.safetensors and the pooling file of a 2-layer encoder."""
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 128,
             "vocab_size": len(PIECES), "max_position_embeddings": 66, "initializer_range": 0.2}  # fmt: skip
    special = {"pad_token_id": 0} if model_type == "bert" else {"pad_token_id": 1, "type_vocab_size": 1}
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **sizes, **special), add_pooling_layer=False)
    model.save_pretrained(folder, safe_serialization=True)
    _tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": pooling == "cls"}))
    return folder


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer
