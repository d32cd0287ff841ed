"""The same decoder in NumPy, in float64 and with weights that are multiplied out: what the kernel should come near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanosmith.predict.native.decoder_plan import BlockLinear, DecoderPlan

Array = NDArray[Any]


def logits(plan: DecoderPlan, ids: Sequence[int], adapter: Mapping[str, Array]) -> Array:
    """Of all tokens of a sequence (L, V)."""
    x = (_weight(plan.head) if plan.words is None else plan.words.astype(np.float64))[list(ids)]
    for layer in plan.layers:
        qkv, out, gate, up, down = layer.linear
        x = x + _linear(out, _attention(plan, _linear(qkv, _norm(x, layer.norm1, plan), adapter)), adapter)
        y = _norm(x, layer.norm2, plan)
        g = _linear(gate, y, adapter)
        x = x + _linear(down, g / (1 + np.exp(-g)) * _linear(up, y, adapter), adapter)
    return _linear(plan.head, _norm(x, plan.norm, plan), {})


def _weight(linear: BlockLinear) -> Array:
    """(N, K)"""
    bytes_ = linear.weight
    numbers = bytes_.astype(np.int64) - 128
    if linear.bits == 4:
        numbers = np.stack([bytes_ & 15, bytes_ >> 4], axis=-1).reshape(*bytes_.shape[:2], 32).astype(np.int64) - 8
    return (numbers * linear.scale[:, :, None].astype(np.float64)).reshape(len(bytes_), -1)


def _linear(linear: BlockLinear, x: Array, adapter: Mapping[str, Array]) -> Array:
    y = x @ _weight(linear).T
    if f"{linear.lora}.a" in adapter:
        y = y + x @ adapter[f"{linear.lora}.a"].astype(np.float64) @ adapter[f"{linear.lora}.b"].astype(np.float64)
    return y


def _norm(x: Array, scale: Array, plan: DecoderPlan) -> Array:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + plan.epsilon) * scale


def _attention(plan: DecoderPlan, qkv: Array) -> Array:
    how, length = plan.attention, len(qkv)
    half = how.cosine.shape[1]
    heads = qkv.reshape(length, -1, 2 * half).swapaxes(0, 1)
    cosine, sine = how.cosine[:length], how.sine[:length]
    one, two = heads[..., :half], heads[..., half:]
    turned = np.concatenate([one * cosine - two * sine, two * cosine + one * sine], axis=-1)
    each = how.heads // how.groups
    keys = np.repeat(turned[how.heads : how.heads + how.groups], each, axis=0)
    values = np.repeat(heads[how.heads + how.groups :], each, axis=0)
    scores = turned[: how.heads] @ keys.swapaxes(1, 2) * how.scale
    scores += np.triu(np.full((length, length), -np.inf), 1)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return (weights @ values).swapaxes(0, 1).reshape(length, -1)
