"""Batches by length, so that hardly any padding is computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def by_length(ids: Sequence[Sequence[int]], batch: int) -> list[list[int]]:
    """Indices of all rows in batches of rows of similar length, longest first (memory peaks at once, not late)."""
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    return [order[start : start + batch] for start in range(0, len(order), batch)]


def shuffled(ids: Sequence[Sequence[int]], batch: int, random: np.random.Generator) -> list[list[int]]:
    """One epoch: batches of similar length, different in every epoch, in random order."""
    keys = [len(row) + 2 * random.random() for row in ids]
    order = sorted(range(len(ids)), key=keys.__getitem__)
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    return [batches[i] for i in random.permutation(len(batches))]


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Ids (B, T) and a mask (B, T) of what is real, or None when all rows have one length."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids, None if bool(mask.all()) else mask
