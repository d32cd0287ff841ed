"""A decoder's forward pass for training, made for a CPU: from Layouts to the log-probabilities of answers.

For decoders built as Llama is (RMS norms, rotary positions, grouped queries, gated units) it computes what the modules
of transformers compute, from their weights, with these differences: padding exists in attention alone, matrix products
may be in bfloat16 while norms, softmax and the residual stream stay in float32, an adapter's product is added in place,
nothing is cached, and only tokens that are learnt get logits. Other decoders run through their own modules.

Letters: as in decoder_batches, with D width, H heads, K heads of keys, V vocabulary, R rank.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from nanosmith.recipes.parts.decoder_batches import Layout

LIKE_LLAMA = ("llama", "mistral", "qwen2", "qwen3")
LONG = 512  # tokens of a row, from which on attention does not keep its weights for the backward pass
ADAPTER = "default"  # peft's name of the only one


def answer_logits(model: torch.nn.Module, layout: Layout, dtype: torch.dtype) -> torch.Tensor:
    """Logits (M, V) in float32 for each token of the answers; `model` is a causal language model of transformers."""
    config = model.config
    forward = _like_llama if config.model_type in LIKE_LLAMA else _by_modules
    hidden = forward(model.model, layout, dtype)[layout.sources]
    head = model.get_output_embeddings()
    logits = functional.linear(hidden.to(head.weight.dtype), head.weight, head.bias).float()
    cap = getattr(config, "final_logit_softcapping", None)  # of Gemma 2
    return cap * torch.tanh(logits / cap) if cap else logits


def _by_modules(core: torch.nn.Module, layout: Layout, dtype: torch.dtype) -> torch.Tensor:
    """(P, D)."""
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        found = core(
            input_ids=layout.packing.ids, attention_mask=layout.bias.to(core.dtype),
            position_ids=layout.padded_positions, use_cache=False,
        )  # fmt: skip
    return layout.packing.packed(found.last_hidden_state)


def _like_llama(core: torch.nn.Module, layout: Layout, dtype: torch.dtype) -> torch.Tensor:
    """(P, D)."""
    hidden = core.embed_tokens(layout.packing.packed(layout.packing.ids[:, :, None])[:, 0]).float()
    turns = [part[0, :, None].to(dtype) for part in core.rotary_emb(hidden, layout.positions[None])]  # each (P, 1, D/H)
    bias = layout.bias.to(dtype) if layout.bias.shape[-1] >= LONG else layout.bias
    for layer in core.layers:
        states = _normed(layer.input_layernorm, hidden).to(dtype)
        hidden = hidden + _attention(layer.self_attn, states, turns, layout, bias)
        states = _normed(layer.post_attention_layernorm, hidden).to(dtype)
        part = layer.mlp
        wide = part.act_fn(_linear(part.gate_proj, states)) * _linear(part.up_proj, states)
        hidden = hidden + _linear(part.down_proj, wide)
    return _normed(core.norm, hidden)


def _attention(
    part: Any, states: torch.Tensor, turns: list[torch.Tensor], layout: Layout, bias: torch.Tensor
) -> torch.Tensor:
    """(P, D) → (P, D)."""
    width = part.head_dim
    query, key, value = (
        _linear(linear, states).unflatten(1, (-1, width)) for linear in (part.q_proj, part.k_proj, part.v_proj)
    )  # (P, H or K, D/H)
    if hasattr(part, "q_norm"):  # of Qwen 3
        query, key = (_normed(norm, x).to(x.dtype) for norm, x in ((part.q_norm, query), (part.k_norm, key)))
    query, key, value = (
        layout.packing.padded(x.flatten(1)).unflatten(2, (-1, width)).transpose(1, 2)  # (B, H or K, T, D/H)
        for x in (_turned(query, turns), _turned(key, turns), value)
    )
    mix = _fused if bias.shape[-1] >= LONG else _plain
    mixed = mix(query, key, value, bias)
    return _linear(part.o_proj, layout.packing.packed(mixed.transpose(1, 2).flatten(2)))


def _plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Attention (B, H, T, D/H) as two matrix products: on short rows torch's fused kernel takes longer."""
    tokens, sharing = query.shape[2], query.shape[1] // key.shape[1]
    together = query.unflatten(1, (-1, sharing)).flatten(2, 3)  # (B, K, H/K * T, D/H)
    scores = (together @ key.transpose(2, 3)).float().unflatten(2, (sharing, tokens))
    weights = (scores / math.sqrt(query.shape[-1]) + bias[:, None]).softmax(-1)
    mixed = weights.to(value.dtype).flatten(2, 3) @ value
    return mixed.unflatten(2, (sharing, tokens)).flatten(1, 2)


def _fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    mixed: torch.Tensor = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, enable_gqa=True)
    return mixed


def _turned(x: torch.Tensor, turns: list[torch.Tensor]) -> torch.Tensor:
    """Rotary positions (Su et al. 2021), in halves as transformers has them; x is (P, H, D/H)."""
    cos, sin = turns
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


def _normed(norm: Any, x: torch.Tensor) -> torch.Tensor:
    return functional.rms_norm(x.float(), x.shape[-1:], norm.weight.float(), norm.variance_epsilon)


def _linear(module: Any, x: torch.Tensor) -> torch.Tensor:
    """A linear layer with its adapter, where it has one that is switched on: x W' + s (x A') B' (Hu et al. 2021)."""
    base = getattr(module, "base_layer", module)
    y = functional.linear(x, base.weight, base.bias)
    if base is module or module.disable_adapters:
        return y
    low = functional.linear(x, module.lora_A[ADAPTER].weight.to(x.dtype))  # (P, R)
    return torch.addmm(y, low, module.lora_B[ADAPTER].weight.to(x.dtype).T, alpha=module.scaling[ADAPTER])
