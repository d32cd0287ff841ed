"""The base encoder, opened: tokenizer, torch modules, and cached sentence vectors and token vectors."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from tokenizers import Tokenizer
from torch.nn import functional

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_ENCODER_TOKENS
from nanosmith.core.watch import Watch
from nanosmith.recipes.base_folder import BaseFolder
from nanosmith.recipes.parts.batches import by_length
from nanosmith.recipes.parts.forward import sentence_vectors
from nanosmith.store.atomic import write_atomic

SUPPORTED = ("bert", "roberta", "xlm-roberta", "camembert")
VECTOR_BATCH = 64
TIMED = 512  # token vectors that tell how long all take


class Base:
    """Opened once per run and shared by all recipes. `cache` is a folder for what can be made again; `config` and
    `pooling` are given where the folder does not say them."""

    def __init__(
        self, folder: BaseFolder, cache: Path | None = None, *, config: dict[str, Any] | None = None,
        pooling: str | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.config = config or folder.config
        if self.config.get("model_type") not in SUPPORTED:
            raise InputError("this architecture is not supported yet", where=str(folder.path),
                             got=self.config.get("model_type"), allowed=", ".join(SUPPORTED))  # fmt: skip
        self.tokenizer = Tokenizer.from_file(str(folder.path / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.max_tokens = min(MAX_ENCODER_TOKENS, int(self.config["max_position_embeddings"]) - 2)
        self.tokenizer.enable_truncation(self.max_tokens)
        self.pooling = pooling or _pooling(folder.path)
        self._cache = cache
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def new_encoder(self) -> torch.nn.Module:
        """A fresh copy of the encoder in float32, dropout off: (B, T) ids → last_hidden_state (B, T, D)."""
        from transformers import AutoModel
        from transformers.utils import logging as chatter

        chatter.disable_progress_bar()
        logging.getLogger("transformers").setLevel(logging.ERROR)
        encoder: torch.nn.Module = AutoModel.from_pretrained(
            self.folder.path, attn_implementation="sdpa", add_pooling_layer=False, dtype=torch.float32,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, local_files_only=True, use_safetensors=True,
        )  # fmt: skip
        return encoder

    def static_vectors(self) -> NDArray[np.float32] | None:
        """Token vectors (V, D) that a static recipe starts from, where the base brings its own."""
        return None

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, with special tokens, cut to `max_tokens`."""
        return [encoded.ids for encoded in self.tokenizer.encode_batch(list(texts))]

    def vectors(self, texts: Sequence[str], watch: Watch | None = None) -> NDArray[np.float32]:
        """Sentence vectors (N, D) of the untouched base, computed once per text."""
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            found = self.encode(self._frozen, self.token_ids(new), watch, "read the texts once")
            self._vectors.update(zip(new, found))
        return np.stack([self._vectors[text] for text in texts])

    def know(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Take these (N, D) for the texts' sentence vectors."""
        self._vectors.update(zip(texts, vectors))

    def token_vectors(self, watch: Watch | None = None) -> NDArray[np.float32]:
        """A vector (V, D) per vocabulary entry: the sentence vector of that token alone; cached on disk.

        The first step of Model2Vec (Tulkens & van Dongen 2024).
        """
        file = self._token_vectors_file
        if file and file.is_file():
            stored: NDArray[np.float32] = load_file(file)["vectors"].astype(np.float32)
            return stored
        vectors = self.vectors_of(range(self.tokenizer.get_vocab_size()), watch)
        if file:
            write_atomic(file, save({"vectors": vectors.astype(np.float16)}))
        return vectors

    def token_vectors_s(self) -> float:
        """Seconds that `token_vectors` will take, from a part of them; 0 where they are known."""
        known = self._token_vectors_file
        if self.static_vectors() is not None or (known and known.is_file()):
            return 0.0
        size = self.tokenizer.get_vocab_size()
        timed = range(min(TIMED, size))
        self.vectors_of(timed[:1])  # opens the encoder
        began_s = time.monotonic()
        self.vectors_of(timed)
        return (time.monotonic() - began_s) * size / len(timed)

    @property
    def _token_vectors_file(self) -> Path | None:
        return self._cache / f"unit-token-vectors-{self.folder.sha256[:32]}.safetensors" if self._cache else None

    def vectors_of(self, tokens: Iterable[int], watch: Watch | None = None) -> NDArray[np.float32]:
        """The sentence vector (K, D) of each of these tokens alone."""
        special = self.tokenizer.encode("").ids
        first, last = special[:1], special[1:]
        ids = [[*first, int(token), *last] for token in tokens]
        return self.encode(self._frozen, ids, watch, "distil token vectors", batch=512)

    def encode(
        self, encoder: torch.nn.Module, ids: list[list[int]], watch: Watch | None = None, stage: str = "encode",
        batch: int = VECTOR_BATCH,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Sentence vectors (N, D), of length 1, of token ids by this encoder, without gradients."""
        found = np.zeros((len(ids), int(self.config["hidden_size"])), dtype=np.float32)
        done = 0
        with torch.inference_mode():
            for indices in by_length(ids, batch):
                found[indices] = self.sentence_vectors(encoder, [ids[i] for i in indices]).numpy()
                done += len(indices)
                if watch:
                    watch.check()
                    watch.progress(stage, done, len(ids))
        return found

    def sentence_vectors(
        self, encoder: torch.nn.Module, rows: Sequence[Sequence[int]], dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Pooled vectors (B, D), of length 1, of rows of ids; `dtype` is that of the matrix products."""
        vectors = sentence_vectors(
            encoder, rows, pad_id=int(self.config["pad_token_id"]), pooling=self.pooling, dtype=dtype
        )
        return functional.normalize(vectors, dim=1)

    @cached_property
    def _frozen(self) -> torch.nn.Module:
        return self.new_encoder().eval()


def _pooling(folder: Path) -> str:
    """`cls` or `mean`, as the sentence-transformers folder says; `mean` where it says nothing."""
    file = folder / "1_Pooling" / "config.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return "cls" if said.get("pooling_mode_cls_token") else "mean"
