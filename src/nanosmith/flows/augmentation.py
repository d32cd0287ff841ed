"""What each pass over the training data is made of: the examples, joined or misspelled where that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nanosmith.data.augment.joins import joined
from nanosmith.data.augment.noise import noisy

if TYPE_CHECKING:
    from nanosmith.recipes.work import Augment, Samples


def augmentation(*, joins: bool, noise: bool) -> Augment | None:
    """One function for both; None where nothing is wanted. `joins` needs memberships (N, L) as targets."""
    if not (joins or noise):
        return None

    from nanosmith.recipes.work import Samples

    def augment(samples: Samples, random: np.random.Generator) -> Samples:
        if joins:
            made = joined(samples.texts, samples.targets, samples.weights, random)
            samples = Samples(made.texts, made.targets, made.weights)  # a teacher has not read these
        if noise:
            samples = msgspec.structs.replace(samples, texts=noisy(samples.texts, random))
        return samples

    return augment
