"""The network of a record model: one pass of the encoder, a tag head per unit, choice heads on the pooled vector.

Letters: B windows, N examples, P tokens, D width, U units, C tag columns, L choice columns, G groups.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch.nn import functional

from nanosmith.predict.pieces import BEFORE, CASES, CODES, TURNS, parts_of
from nanosmith.recipes.parts.forward import Packing, pooled, token_vectors
from nanosmith.recipes.parts.record_rows import Row

ABSENT = -1e4


class RecordNet(torch.nn.Module):  # type: ignore[misc]
    """The shapes' table is a sum of three, each zero at first: what is rare together is learnt apart."""

    def __init__(self, encoder: torch.nn.Module, width: int, tags: int, choices: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.shapes = torch.nn.ModuleList(torch.nn.Embedding(n, width) for n in (len(CASES), len(BEFORE), TURNS))
        self.tags, self.choices = _empty_head(width, tags), _empty_head(width, choices)
        self.scale = math.sqrt(width)
        for table in self.shapes:
            torch.nn.init.zeros_(table.weight)
        for head in (self.tags, self.choices):
            torch.nn.init.zeros_(head.bias)
            torch.nn.init.normal_(head.weight, std=0.02)
        self.register_buffer("_parts", torch.tensor([parts_of(code) for code in range(CODES)]), persistent=False)

    def table(self) -> torch.Tensor:
        """What each code adds to an embedding (CODES, D)."""
        return sum(table(self._parts[:, i]) for i, table in enumerate(self.shapes))

    def forward(
        self, rows: Sequence[Row], *, pad_id: int, pooling: str, dtype: torch.dtype, dropout: float = 0.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tag logits (U, C) of all rows' units, one row after the other, and unit vectors (B, D)."""
        packing = Packing([row.ids for row in rows], pad_id)
        codes = torch.tensor([code for row in rows for code in row.codes])
        hidden = token_vectors(self.encoder, packing, dtype, self.table()[codes])
        starts = packing.starts.tolist()
        places = torch.tensor([start + place for start, row in zip(starts, rows) for place in row.places])
        units = functional.dropout(hidden[places], dropout, training=dropout > 0)
        return self.tags(units), functional.normalize(pooled(hidden, packing, pooling), dim=1)

    def chosen(self, vectors: torch.Tensor) -> torch.Tensor:
        """Choice logits (N, L) of unit vectors (N, D)."""
        return self.choices(vectors * self.scale)


def _empty_head(width: int, columns: int) -> torch.nn.Linear:
    """A head without values yet. One without columns, too, of which torch would warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")
        return torch.nn.utils.skip_init(torch.nn.Linear, width, columns)


def tag_loss(logits: torch.Tensor, targets: torch.Tensor, free: torch.Tensor | None) -> torch.Tensor:
    """-log of the probability (U) of the wanted tags by logits (U, K) of one group. What is wanted to be outside may as
    well be of a label in `free` (U, K)."""
    if free is None:
        return functional.cross_entropy(logits, targets, reduction="none")
    allowed = functional.one_hot(targets, logits.shape[1]).bool() | (free & (targets == 0)[:, None])
    return logits.logsumexp(1) - logits.masked_fill(~allowed, ABSENT).logsumexp(1)
