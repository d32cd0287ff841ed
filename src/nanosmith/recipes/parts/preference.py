"""Direct preference optimisation (Rafailov et al. 2023): the preferred answer becomes likelier, against the other one.

The reference is the base, the adapter off: its log-probabilities are computed once, before the first step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from nanosmith.recipes.parts.decoder_batches import Group, TextSample


def pairs(samples: Sequence[TextSample]) -> list[Group]:
    """(2 N) samples, preferred and other by turns, to N groups of two answers."""
    return [
        Group(better.prompt, (better.answer, worse.answer), (better.weight, worse.weight))
        for better, worse in zip(samples[::2], samples[1::2], strict=True)
    ]


def preference_losses(found: torch.Tensor, reference: torch.Tensor, beta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """-ln sigmoid(margin) and margins (N) from log-probabilities (2 N) of whole answers, of the model and the
    reference, preferred and other by turns."""
    gained = (found - reference).view(-1, 2)
    margins = beta * (gained[:, 0] - gained[:, 1])
    return -functional.logsigmoid(margins), margins
