"""frozen_linear/1: the untouched encoder with a linear head on its sentence vectors; a convex fit, seconds."""

from __future__ import annotations

import torch

from nanosmith.recipes.parts.encoder_model import EncoderModel
from nanosmith.recipes.parts.head import LABEL_SMOOTHING, MAX_ITERATIONS, fit_head
from nanosmith.recipes.work import Work, enlarged


def fit(work: Work) -> EncoderModel:
    """Fit the head by L-BFGS. Deterministic: the seed plays no part."""
    samples = enlarged(work)
    vectors = torch.from_numpy(work.base.vectors(samples.texts, work.watch))
    targets, weights = torch.from_numpy(samples.targets), torch.from_numpy(samples.weights)
    head = fit_head(work.task, vectors, targets, weights, watch=work.watch)
    settings = {"n_epochs": 1, "batch_size": len(samples), "learning_rate_multiplier": 1.0,
                "label_smoothing": LABEL_SMOOTHING, "max_iterations": MAX_ITERATIONS}  # fmt: skip
    tokens = sum(map(len, work.base.token_ids(samples.texts)))
    return EncoderModel(work, None, head, settings, tokens)
