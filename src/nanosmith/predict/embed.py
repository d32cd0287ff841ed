"""Embeddings: a text's direction in the space of a model, as a vector of length 1.

Letters: N texts, D width, T tokens of one text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.errors import InputError
from nanosmith.core.prediction import Predictor

Floats1d = NDArray[np.float32]
Floats2d = NDArray[np.float32]


class Embeddings(msgspec.Struct, frozen=True):
    """`vectors` (N, D), and for each text how many tokens were read and how many a length limit cut off."""

    vectors: Floats2d
    tokens: list[int]
    dropped_tokens: list[int]


@runtime_checkable
class Embedder(Protocol):
    """What embeds texts. `width` is D, or 0 where the bundle has nothing to embed with."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    def token_ids(self, text: str) -> tuple[list[int], int]:
        """Ids of the tokens that are read, and how many were cut off."""
        ...

    def vector(self, ids: Sequence[int]) -> Floats1d:
        """The vector (D) of token ids (T): of length 1, or zero where no token says anything."""
        ...

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector per text, in order."""
        ...


def embed(embedder: Embedder, texts: Sequence[str]) -> Embeddings:
    """Texts one by one, at their own length: no vector can depend on padding or on its neighbours."""
    if not embedder.width:
        raise no_embeddings(embedder.name)
    read = [embedder.token_ids(text) for text in texts]
    vectors = np.zeros((len(read), embedder.width), dtype=np.float32)
    for row, (ids, _) in enumerate(read):
        vectors[row] = embedder.vector(ids)
    return Embeddings(vectors, [len(ids) for ids, _ in read], [dropped for _, dropped in read])


def as_embedder(predictor: Predictor) -> Embedder:
    """The same object, where it embeds. Raises InputError."""
    if isinstance(predictor, Embedder) and predictor.width:
        return predictor
    raise no_embeddings(predictor.name)


def no_embeddings(name: str) -> InputError:
    return InputError(
        "this model has no output for embeddings; models of words alone and models of 0.1.0 have none",
        got=repr(name), param="model", code="unsupported_model",
        remedy="Fine-tune it again, or embed with nanosmith-nano.",
    )  # fmt: skip


def shorten(vectors: Floats2d, dimensions: int) -> Floats2d:
    """The first `dimensions` of each vector, at length 1 again (Kusupati et al. 2022, "Matryoshka Representation
    Learning"); a vector without any of them stays zero."""
    return unit(vectors[:, :dimensions])


def unit(vectors: Floats2d) -> Floats2d:
    """Vectors (…, D) at length 1; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, np.where(lengths > 0, lengths, 1), dtype=np.float32)
