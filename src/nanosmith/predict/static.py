"""static/1: the mean of token embeddings, then a linear layer. No attention, no onnxruntime; microseconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from safetensors.numpy import load_file

from nanosmith.predict.local import Floats1d, LocalPredictor
from nanosmith.store.bundles import Bundle

WEIGHTS_FILE = "static.safetensors"


class StaticPredictor(LocalPredictor):
    """Tensors: `embeddings` int8 (V, D) with one `scales` float32 (V) per token, `weight` float32 (D, L), `bias` (L).

    V vocabulary, D width, L labels. The sum of the scaled rows is divided by its length, so that only its direction
    counts (cosine geometry).
    """

    special_tokens = False

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        super().__init__(bundle, threads=threads)
        tensors = load_file(bundle.file(WEIGHTS_FILE))
        self._embeddings = tensors["embeddings"]
        self._scales = tensors["scales"]
        self._weight = tensors["weight"]
        self._bias = tensors["bias"]

    def logits(self, ids: Sequence[int]) -> Floats1d:
        if not ids:
            return self._bias
        index = np.asarray(ids)
        total = self._scales[index] @ self._embeddings[index].astype(np.float32)  # (T) @ (T, D) -> (D)
        scores: Floats1d = (total / (np.sqrt(total @ total) + 1e-6)) @ self._weight + self._bias
        return scores
