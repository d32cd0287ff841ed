"""Magnitude pruning: the smallest weights of every linear layer become zero (Han et al. 2015)."""

from __future__ import annotations

import copy

import torch


def sparsified(encoder: torch.nn.Module, share: float) -> torch.nn.Module:
    """A copy of the encoder in which this share, in [0, 1), of each linear layer's weights is zero."""
    made = copy.deepcopy(encoder)
    with torch.no_grad():
        for module in made.encoder.modules():
            if isinstance(module, torch.nn.Linear):
                magnitudes = module.weight.abs()
                count = int(share * magnitudes.numel())
                if count:
                    module.weight[magnitudes <= magnitudes.flatten().kthvalue(count).values] = 0
    return made
