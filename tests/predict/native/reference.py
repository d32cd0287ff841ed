"""What the kernel computes, in numpy and float64 but for the quantisation of activations, which is the kernel's: a
scale and a zero point per token. Letters: T tokens, D width, K inputs and N outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanosmith.predict.native.plan import Layer, Linear, Plan

Floats = NDArray[Any]
erf = np.vectorize(math.erf)


def outputs(plan: Plan, ids: list[int], codes: list[int] | None = None) -> dict[str, Floats]:
    words = plan.words[ids].astype(np.float64) * plan.word_scales[ids]
    hidden = norm(words + plan.positions[: len(ids)], plan.norm, plan.epsilon)
    if plan.codes is not None:
        hidden = hidden + plan.codes[codes]
    for layer in plan.layers:
        hidden = run_layer(layer, hidden, plan.epsilon)
    pooled = hidden[0] if plan.pools_first else hidden.mean(axis=0)
    found = {"embedding": pooled / np.linalg.norm(pooled), "tokens": hidden}
    if plan.head:
        found["logits"] = found["embedding"] @ plan.head.weight + plan.head.bias
    if plan.tags:
        found["tags"] = hidden @ plan.tags.weight + plan.tags.bias
    return found


def run_layer(layer: Layer, x: Floats, epsilon: float) -> Floats:
    query, key, value = (heads(part, layer.heads) for part in np.split(linear(layer.qkv, x), 3, axis=1))
    scores = np.einsum("htd,hud->htu", query, key) / math.sqrt(query.shape[2])
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    mixed = np.einsum("htu,hud->thd", shares, value).reshape(len(x), -1)
    x = norm(x + linear(layer.attention_out, mixed), layer.norm1, epsilon)
    inner = linear(layer.up, x)
    inner = inner / 2 * (1 + erf(inner / math.sqrt(2)))
    return norm(x + linear(layer.down, inner), layer.norm2, epsilon)


def linear(layer: Linear, x: Floats) -> Floats:
    """(T, K) → (T, N)"""
    smooth = x * layer.factor
    low, high = np.minimum(smooth.min(axis=1), 0), np.maximum(smooth.max(axis=1), 0)
    scale = (high - low)[:, None] / 255
    zero = np.round(-low[:, None] / scale)
    whole = np.clip(np.round(smooth / scale + zero), 0, 255) - zero
    product = whole @ layer.weight.astype(np.float64) * scale * layer.scale
    return product if layer.bias is None else product + layer.bias


def heads(part: Floats, count: int) -> Floats:
    """(T, D) → (heads, T, size)"""
    return part.reshape(len(part), count, -1).transpose(1, 0, 2)


def norm(x: Floats, weights: tuple[Floats, Floats], epsilon: float) -> Floats:
    apart = x - x.mean(axis=1, keepdims=True)
    return apart / np.sqrt((apart**2).mean(axis=1, keepdims=True) + epsilon) * weights[0] + weights[1]
