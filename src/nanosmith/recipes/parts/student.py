"""A student: a smaller encoder, or a static model, made of a teacher's weights, as the base that it is trained from.

Letters: D width, L labels, V the teacher's pieces, K the student's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nanosmith.recipes.base_folder import BaseFolder
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.encoder_model import plain_tokenizer
from nanosmith.recipes.parts.from_bundle import SPARE_POSITIONS, TunedBase, encoder_of
from nanosmith.recipes.parts.shape import Arrays, Importance, Shape, cut, cut_config
from nanosmith.recipes.parts.vocabulary import trimmed
from nanosmith.recipes.static import reduced

Ids = NDArray[np.int64]
EMBEDDINGS = "embeddings.word_embeddings.weight"


class EncoderStudent(Base):
    """An encoder of this `shape` with the pieces `kept` (K) of a teacher, made of `weights`: the teacher's, or those
    that the teacher itself was tuned from. `folder` takes its tokenizer."""

    def __init__(
        self, teacher: TunedBase, weights: Arrays, shape: Shape, importance: Importance, kept: Ids, folder: Path
    ) -> None:
        self._weights = cut(weights, teacher.config, shape, importance)
        self._weights[EMBEDDINGS] = self._weights[EMBEDDINGS][kept]
        config = cut_config(teacher.config, shape, len(kept))
        super().__init__(_folder(teacher, kept, folder), config=config, pooling=teacher.pooling)

    def new_encoder(self) -> torch.nn.Module:
        """A fresh copy in float32, dropout off."""
        return encoder_of(self.config, self._weights)


class StaticStudent(Base):
    """Vectors of a `width` for the pieces `kept` (K), to start from: of the teacher's for each of them alone,
    `token_vectors` (K, D). There is no encoder."""

    def __init__(
        self, teacher: TunedBase, width: int, token_vectors: NDArray[np.float32], kept: Ids, folder: Path
    ) -> None:
        self._start = reduced(token_vectors, kept, width)
        config = {"model_type": "bert", "hidden_size": width,
                  "max_position_embeddings": teacher.max_tokens + SPARE_POSITIONS}  # fmt: skip
        super().__init__(_folder(teacher, kept, folder), config=config, pooling="mean")

    def static_vectors(self) -> NDArray[np.float32]:
        return self._start.copy()


def _folder(teacher: TunedBase, kept: Ids, folder: Path) -> BaseFolder:
    """The teacher's name and digest, with a tokenizer of the pieces `kept`."""
    tokenizer = plain_tokenizer(teacher)
    folder.mkdir(parents=True, exist_ok=True)
    small = tokenizer if len(kept) == tokenizer.get_vocab_size() else trimmed(tokenizer, kept)
    small.save(str(folder / "tokenizer.json"), pretty=False)
    return BaseFolder(teacher.folder.name, folder, teacher.folder.sha256)
