"""static/1: the mean of token embeddings, then a linear layer. No attention, no onnxruntime; microseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from nanosmith.predict.embed import Floats1d, unit
from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.word_ids import WordIds
from nanosmith.store.bundles import Bundle

WEIGHTS_FILE = "static.safetensors"


class StaticPredictor(LocalPredictor):
    """Tensors: `embeddings` int8 (V, D) with one `scales` float32 (V) per token, `weight` float32 (D, L), `bias` (L).

    V vocabulary, D width, L labels. The sum of the scaled rows is divided by its length, so that only its direction
    counts (cosine geometry); that direction is also the embedding. A bundle that only embeds has no `weight` and
    `bias`.
    """

    special_tokens = False
    is_quick = True

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        super().__init__(bundle, threads=threads)
        self._tensors = load_file(bundle.file(WEIGHTS_FILE))
        self.width = self._tensors["embeddings"].shape[1]
        self._word_ids = WordIds(self._tokenizer)

    def logits(self, ids: Sequence[int]) -> Floats1d:
        return score(self._tensors, ids)

    def vector(self, ids: Sequence[int]) -> Floats1d:
        return embedding(self._tensors, ids)

    def both(self, ids: Sequence[int]) -> tuple[Floats1d, Floats1d]:
        """From one sum."""
        if not ids:
            return self.logits(ids), self.vector(ids)
        total = total_of(self._tensors, ids)
        length = np.sqrt(total @ total)
        return scores_of(self._tensors, total, length), total / length if length else total

    def _ids(self, text: str) -> list[int]:
        return self._word_ids.of(text)


def score(tensors: Mapping[str, NDArray[Any]], ids: Sequence[int]) -> Floats1d:
    """Scores (L) of token ids (T)."""
    if not ids:
        return tensors["bias"]
    total = total_of(tensors, ids)
    return scores_of(tensors, total, np.sqrt(total @ total))


def scores_of(tensors: Mapping[str, NDArray[Any]], total: Floats1d, length: np.float32) -> Floats1d:
    """Scores (L) of a summed vector (D) of this length."""
    scores: Floats1d = (total / (length + 1e-6)) @ tensors["weight"] + tensors["bias"]
    return scores


def embedding(tensors: Mapping[str, NDArray[Any]], ids: Sequence[int]) -> Floats1d:
    """The unit vector (D) of token ids (T); zero without any."""
    return unit(total_of(tensors, ids)) if ids else np.zeros(tensors["embeddings"].shape[1], dtype=np.float32)


def total_of(tensors: Mapping[str, NDArray[Any]], ids: Sequence[int]) -> Floats1d:
    """The sum (D) of the vectors of token ids (T), T > 0."""
    index = np.asarray(ids)
    total: Floats1d = tensors["scales"][index] @ tensors["embeddings"][index].astype(np.float32)  # (T) @ (T, D) -> (D)
    return total
