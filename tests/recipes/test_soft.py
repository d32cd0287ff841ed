"""Training on a teacher's probabilities."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from tests.recipes.conftest import CHOICE, topic_samples

from nanosmith.core import registry
from nanosmith.recipes.work import Model, Samples, Work, memberships


@pytest.mark.parametrize("recipe", ["static/1", "tune_encoder/1"])
def test_a_teacher_is_believed_more_than_the_labels(recipe: str, work: Callable[..., Work]) -> None:
    """Where all labels are wrong, and the teacher is right and sure, the model answers as the teacher does."""
    right = topic_samples(CHOICE, 36)
    soft = memberships(right.targets, 3).astype(np.float32)
    train = msgspec.structs.replace(right, targets=(right.targets + 1) % 3, soft=soft)
    options = {"n_epochs": 20, "kept": 1.0, "learning_rate_multiplier": 30.0}
    model: Model = registry.load("recipes", recipe)(work(train=train, options=options))
    assert (model.logits(right.texts).argmax(1) == right.targets).mean() > 0.9


def test_samples_with_and_without_a_teacher() -> None:
    """Added to each other, the labels stand for the probabilities that some lack; vectors that some lack are left
    out."""
    plain = topic_samples(CHOICE, 3)
    taught = msgspec.structs.replace(
        plain, soft=np.full((3, 3), 1 / 3, dtype=np.float32), vectors=np.ones((3, 2), dtype=np.float32)
    )
    both: Samples = taught + plain
    assert both.soft is not None
    assert both.soft[:3] == pytest.approx(1 / 3)
    assert both.soft[3:].argmax(1).tolist() == plain.targets.tolist()
    assert both.vectors is None
    assert (plain + plain).soft is None
