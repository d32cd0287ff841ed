"""A fitted encoder with a linear head: the Model of `frozen_linear` and `tune_encoder`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.export import EncoderGraph, export
from nanosmith.recipes.parts.graph import Mode
from nanosmith.recipes.parts.ranges import SAMPLE, activation_ranges, input_moments
from nanosmith.recipes.work import Draft, Floats2d, Samples, Work


class EncoderModel:
    """`encoder` None means the untouched base. `work.options["weights"]` is the mode of its linear layers: int8, or
    int4 where bytes count more."""

    def __init__(
        self, work: Work, encoder: torch.nn.Module | None, head: torch.nn.Linear, settings: dict[str, Any],
        trained_tokens: int,
    ) -> None:  # fmt: skip
        self._base, self._task, self._watch = work.base, work.task, work.watch
        self._weights: Mode = work.options.get("weights", "int8")
        self._sample = work.train.texts[:: max(1, len(work.train) // SAMPLE)]
        self.encoder, self.head, self.settings = encoder, head, settings
        self.trained_tokens = trained_tokens

    def logits(self, texts: Sequence[str]) -> Floats2d:
        """Scores (N, L) from the training graph, before calibration."""
        with torch.inference_mode():
            scores: Floats2d = self.head(torch.from_numpy(self.embeddings(texts))).numpy()
        return scores

    def embeddings(self, texts: Sequence[str]) -> Floats2d:
        """Unit vectors (N, D) from the training graph."""
        if not texts:
            return np.zeros((0, self.head.in_features), dtype=np.float32)
        if self.encoder is None:
            return self._base.vectors(texts, self._watch)
        return self._base.encode(self.encoder, self._base.token_ids(texts), self._watch, "score held-out examples")

    def write(self, folder: Path, check: Samples) -> Draft:
        """Write model.onnx (through the parity gate on `check`) and tokenizer.json."""
        base = self._base
        encoder = self.encoder or base.new_encoder()
        seen = base.token_ids(self._sample)
        graph = EncoderGraph(
            weights={name: tensor.detach().numpy() for name, tensor in encoder.state_dict().items()},
            head=(self.head.weight.detach().numpy().T, self.head.bias.detach().numpy()),
            config=base.config, pooling=base.pooling, max_tokens=base.max_tokens,
            ranges=activation_ranges(base, encoder, seen), mode=self._weights,
            moments=input_moments(base, encoder, seen) if self._weights == "int4" else {},
        )  # fmt: skip
        self._watch.progress("write the bundle", 0, 1)
        parity = export(
            graph, folder, base.token_ids(check.texts), self.logits(check.texts), check.targets, self._watch
        )
        plain_tokenizer(base).save(str(folder / TOKENIZER_FILE), pretty=False)
        self._watch.progress("write the bundle", 1, 1)
        return Draft("encoder/1", base.max_tokens, self.settings, {"parity": parity})


def plain_tokenizer(base: Base) -> Any:
    """The base's tokenizer without truncation: the runtime cuts, and says so."""
    from tokenizers import Tokenizer

    plain = Tokenizer.from_str(base.tokenizer.to_str())
    plain.no_truncation()
    return plain
