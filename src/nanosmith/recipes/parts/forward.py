"""The encoder's forward pass, made for short texts on a CPU.

What the modules of transformers compute, from their weights, with three differences: padding is left out of everything
but attention, attention is two small matrix products (torch's fused kernel takes three times as long on rows of 16
tokens), and matrix products may be in bfloat16 where the CPU has instructions for it. Weights, norms, softmax and the
optimizer stay in float32 (mixed precision, Micikevicius et al. 2018).

Letters: B rows, T tokens of the longest row, P tokens of all rows, D width, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch.nn import functional

MASKED = -1e4


@cache
def training_type() -> torch.dtype:
    """What matrix products of a training run in: bfloat16 where it is the CPU's own, else float32."""
    can = torch.cpu.get_capabilities()
    return torch.bfloat16 if can.get("avx512_bf16") or can.get("amx_bf16") else torch.float32


def sentence_vectors(
    encoder: torch.nn.Module, rows: Sequence[Sequence[int]], *, pad_id: int, pooling: str, dtype: torch.dtype
) -> torch.Tensor:
    """Pooled vectors (B, D) of rows of token ids: the first token's (`cls`) or their mean."""
    packing = Packing(rows, pad_id)
    hidden = token_vectors(encoder, packing, dtype)
    return pooled(hidden, packing, pooling)


def token_vectors(
    encoder: torch.nn.Module, packing: Packing, dtype: torch.dtype, added: torch.Tensor | None = None
) -> torch.Tensor:
    """The last layer's vectors (P, D) of all tokens; `added` (P, D) goes to the embeddings."""
    hidden = packing.packed(encoder.embeddings(input_ids=packing.ids))  # (P, D)
    if added is not None:
        hidden = hidden + added
    heads = int(encoder.config.num_attention_heads)
    for layer in encoder.encoder.layer:
        hidden = _layer(layer, hidden, packing, heads, dtype)
    return hidden


def pooled(hidden: torch.Tensor, packing: Packing, pooling: str) -> torch.Tensor:
    """(P, D) → (B, D): the first token of each row (`cls`), or the mean of its tokens."""
    if pooling == "cls":
        return hidden[packing.starts]
    sums = hidden.new_zeros(len(packing.lengths), hidden.shape[1]).index_add(0, packing.row_of, hidden)
    return sums / packing.lengths[:, None]


class Packing:
    """Rows as one padded table of `ids` (B, T), and where each of the P real tokens is in it."""

    def __init__(self, rows: Sequence[Sequence[int]], pad_id: int) -> None:
        longest = max(map(len, rows))
        self.lengths = torch.tensor([len(row) for row in rows])
        self.ids = torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in rows])
        real = torch.arange(longest) < self.lengths[:, None]  # (B, T)
        self.shape = real.shape
        self.is_full = bool(real.all())
        self.places = real.flatten().nonzero().squeeze(1)  # (P)
        self.row_of = self.places // longest
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.bias = torch.zeros(real.shape).masked_fill(~real, MASKED)[:, None, None]  # (B, 1, 1, T)

    def packed(self, table: torch.Tensor) -> torch.Tensor:
        """(B, T, D) → (P, D)."""
        flat = table.flatten(0, 1)
        return flat if self.is_full else flat[self.places]

    def padded(self, packed: torch.Tensor) -> torch.Tensor:
        """(P, D) → (B, T, D), zero where there is no token."""
        if not self.is_full:
            packed = packed.new_zeros(math.prod(self.shape), packed.shape[1]).index_copy(0, self.places, packed)
        return packed.view(*self.shape, -1)


def _layer(
    layer: torch.nn.Module, hidden: torch.Tensor, packing: Packing, heads: int, dtype: torch.dtype
) -> torch.Tensor:
    """One transformer block (P, D) → (P, D), norms after each half."""
    mixed = _attention(layer.attention.self, hidden, packing, heads, dtype)
    output = layer.attention.output
    hidden = output.LayerNorm(hidden + _linear(output.dense, mixed, dtype).float())
    wide = functional.gelu(_linear(layer.intermediate.dense, hidden, dtype))
    return layer.output.LayerNorm(hidden + _linear(layer.output.dense, wide, dtype).float())


def _attention(
    part: torch.nn.Module, hidden: torch.Tensor, packing: Packing, heads: int, dtype: torch.dtype
) -> torch.Tensor:
    """Scaled dot-product attention over each row's own tokens (P, D) → (P, D)."""
    query, key, value = (
        packing.padded(_linear(linear, hidden, dtype)).unflatten(2, (heads, -1)).transpose(1, 2)  # (B, H, T, D/H)
        for linear in (part.query, part.key, part.value)
    )
    scores = (query @ key.transpose(2, 3)).float() / math.sqrt(query.shape[-1])
    weights = (scores + packing.bias).softmax(-1)  # (B, H, T, T)
    return packing.packed((weights.to(value.dtype) @ value).transpose(1, 2).flatten(2))


def _linear(module: torch.nn.Module, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if dtype == torch.float32:
        return module(x)
    return functional.linear(x.to(dtype), module.weight.to(dtype), module.bias.to(dtype))
