"""static/1: one vector per token, distilled from the encoder, then trained with a linear head. No attention.

The start is Model2Vec's (Tulkens & van Dongen 2024): the encoder's vector of each token alone, reduced by PCA, weighted
by an estimate of its frequency. Then vectors, weights and head are trained on the task; tokens that the training data
does not contain keep their start.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from nanosmith.core.watch import Watch
from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.static import WEIGHTS_FILE, embedding, score
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.encoder_model import plain_tokenizer
from nanosmith.recipes.parts.graph import quantise_rows
from nanosmith.recipes.parts.head import LABEL_SMOOTHING, linear, loss_of
from nanosmith.recipes.work import Draft, Floats2d, Samples, Work, enlarged

WIDTH = 256  # at most; a base may be narrower
BATCH = 64
LEARNING_RATE = 3e-3
HEAD_LEARNING_RATE = 2e-2
SCALE = 12.0  # of the unit vector before the head, so that its weights stay near 1
STEPS_MIN, STEPS_MAX = 300, 3_000
TOKEN_DROPOUT = 0.2


def fit(work: Work) -> StaticModel:
    """Train embeddings and head. Deterministic by seed."""
    torch.manual_seed(work.seed)
    random = np.random.default_rng(work.seed)
    start = start_vectors(work.base, work.watch)  # (V, D)
    samples = enlarged(work)
    ids = token_ids(work.base, samples.texts)
    flat = np.array([token for row in ids for token in row], dtype=np.int64)
    seen, rows = np.unique(flat, return_inverse=True)
    ends = np.cumsum([len(row) for row in ids])
    local = np.split(rows, ends[:-1])  # each text's tokens as rows of the trained table
    table = torch.nn.Parameter(torch.from_numpy(start[seen]))
    head = _first_head(work, start.shape[1])
    settings = _train(work, samples, table, head, local, random)
    vectors = start.copy()
    vectors[seen] = table.detach().numpy()
    trained_tokens = settings["steps"] * settings["batch_size"] * len(flat) // len(ids)
    return StaticModel(work.base, vectors, head, settings, trained_tokens)


def _first_head(work: Work, width: int) -> torch.nn.Linear:
    """Zero, unless there is one already."""
    if work.start_head is None:
        zero = np.zeros((width, len(work.task.labels)), dtype=np.float32)
        return linear(zero, zero[0])
    weight, bias = work.start_head
    return linear(weight / SCALE, bias)


class StaticModel:
    """Token vectors (V, D), already int8-rounded, and a head."""

    def __init__(
        self, base: Base, vectors: NDArray[np.float32], head: torch.nn.Linear, settings: dict[str, Any],
        trained_tokens: int,
    ) -> None:  # fmt: skip
        self._base, self.settings = base, settings
        embeddings, scales = quantise_rows(vectors)
        weight = head.weight.detach().numpy().T * SCALE
        self._tensors = {"embeddings": embeddings, "scales": scales, "weight": np.ascontiguousarray(weight),
                         "bias": head.bias.detach().numpy()}  # fmt: skip
        self.trained_tokens = trained_tokens

    def logits(self, texts: Sequence[str]) -> Floats2d:
        """Scores (N, L): the very arithmetic of the runtime, so there is nothing left for a parity gate to find."""
        return np.stack([score(self._tensors, row) for row in token_ids(self._base, texts)])

    def embeddings(self, texts: Sequence[str]) -> Floats2d:
        """Unit vectors (N, D) as the runtime gives them."""
        return np.stack([embedding(self._tensors, row) for row in token_ids(self._base, texts)])

    @property
    def parts(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Token vectors (V, D), and weight (D, L) and bias (L) of the head that reads their directions."""
        vectors = self._tensors["embeddings"] * self._tensors["scales"][:, None]
        return vectors, self._tensors["weight"], self._tensors["bias"]

    def write(self, folder: Path, check: Samples) -> Draft:
        (folder / WEIGHTS_FILE).write_bytes(save(self._tensors))  # save_file tells a full disk as no OSError
        plain_tokenizer(self._base).save(str(folder / TOKENIZER_FILE), pretty=False)
        return Draft("static/1", self._base.max_tokens, self.settings, {})


def token_ids(base: Base, texts: Sequence[str]) -> list[list[int]]:
    """Ids without special tokens."""
    return [encoded.ids for encoded in base.tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def start_vectors(base: Base, watch: Watch | None = None) -> NDArray[np.float32]:
    """Token vectors (V, D) of the base. Those of an earlier static model stay as they are."""
    if (own := base.static_vectors()) is not None:
        return own
    vectors = base.token_vectors(watch)
    return reduced(vectors, np.arange(len(vectors)), WIDTH)


def reduced(token_vectors: Floats2d, ranks: NDArray[np.integer], width: int) -> Floats2d:
    """PCA of an encoder's token vectors (V, D) to at most `width`, scaled by log(1 + rank), since a WordPiece
    vocabulary is ordered by frequency (Zipf) and frequent tokens say little. `ranks` (V) are places there."""
    vectors = torch.from_numpy(token_vectors)
    centred = vectors - vectors.mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    reduced = centred @ directions[:, -width:].flip(1)
    weights = torch.log1p(torch.from_numpy(ranks).float())
    start: NDArray[np.float32] = (
        reduced / reduced.norm(dim=1).mean() * (weights / weights.mean()).unsqueeze(1)
    ).numpy()
    return start


def _train(
    work: Work,
    samples: Samples,
    table: torch.nn.Parameter,
    head: torch.nn.Linear,
    ids: list[NDArray[np.int64]],
    random: np.random.Generator,
) -> dict[str, Any]:
    size = min(BATCH, len(ids))
    epochs = work.options.get("n_epochs") or 12
    steps = min(STEPS_MAX, max(STEPS_MIN, epochs * len(ids) // size))
    optimizer = torch.optim.Adam(
        [{"params": [table], "lr": LEARNING_RATE}, {"params": head.parameters(), "lr": HEAD_LEARNING_RATE}], fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    targets, weights = torch.from_numpy(samples.targets), torch.from_numpy(samples.weights)
    soft = None if samples.soft is None else torch.from_numpy(samples.soft)
    order: list[int] = []
    for step in range(steps):
        if len(order) < size:
            order = [*order, *random.permutation(len(ids)).tolist()]
        batch, order = order[:size], order[size:]
        logits = head(SCALE * _unit_means(table, [_drop(ids[i], random) for i in batch]))
        told = None if soft is None else soft[batch]
        loss = loss_of(work.task, logits, targets[batch], weights[batch], soft=told)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        work.watch.check()
        work.watch.progress("train static embeddings", step + 1, steps)
    return {
        "n_epochs": max(1, steps * size // len(ids)),
        "batch_size": size,
        "learning_rate_multiplier": 1.0,
        "steps": steps,
        "width": table.shape[1],
        "label_smoothing": LABEL_SMOOTHING,
        "token_dropout": TOKEN_DROPOUT,
    }


def _drop(row: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Leave out some tokens, never all."""
    kept = row[random.random(len(row)) >= TOKEN_DROPOUT]
    return kept if len(kept) else row


def _unit_means(table: torch.Tensor, rows: list[NDArray[np.int64]]) -> torch.Tensor:
    """Directions (B, D) of the summed vectors of each row."""
    offsets = torch.tensor([0, *np.cumsum([len(row) for row in rows])[:-1]])
    sums = torch.nn.functional.embedding_bag(torch.from_numpy(np.concatenate(rows)), table, offsets, mode="sum")
    return torch.nn.functional.normalize(sums, dim=1)
