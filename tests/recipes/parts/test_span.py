"""Models between an earlier one and a trained one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.recipes.conftest import topic_samples

from nanosmith.core import registry
from nanosmith.recipes.parts.span import logits, span_of
from nanosmith.recipes.work import Work

LABELS = 3
NONE = np.zeros(LABELS, dtype=np.float32)


@pytest.fixture
def encoder_work(work: Callable[..., Work]) -> Work:
    return work(options={"n_epochs": 1, "kept": 1.0})


def head_of(given: Work) -> torch.nn.Linear:
    torch.manual_seed(1)
    return torch.nn.Linear(int(given.base.config["hidden_size"]), LABELS)


def test_ends_of_the_way(encoder_work: Work) -> None:
    """Share 0 is the base with its head, share 1 the trained model."""
    trained: Any = registry.load("recipes", "tune_encoder/1")(encoder_work)
    head = head_of(encoder_work)
    span = span_of(encoder_work, head, trained)
    texts = topic_samples(encoder_work.task, 9).texts
    with torch.inference_mode():
        before = head(torch.from_numpy(encoder_work.base.vectors(texts))).numpy()
    found = logits(span, texts, LABELS)
    assert found.shape == (len(span.shares), 9, LABELS)
    assert np.allclose(found[0], before, atol=1e-5)
    assert np.allclose(found[-1], trained.logits(texts), atol=1e-4)
    assert not np.allclose(found[2], found[0], atol=1e-3)
    assert not np.allclose(found[2], found[-1], atol=1e-3)


def test_shift_is_added(encoder_work: Work) -> None:
    """A shift moves the scores of its labels alone, and leaves the head that it was given."""
    span = span_of(encoder_work, head_of(encoder_work), None)
    texts = topic_samples(encoder_work.task, 4).texts
    shift = np.array([0.0, -1.5, 0.0], dtype=np.float32)
    assert span.shares == (0.0,)
    assert np.allclose(span.at(0.0, shift).logits(texts) - span.at(0.0, NONE).logits(texts), shift, atol=1e-5)


def test_no_texts(encoder_work: Work) -> None:
    """Without texts there are no scores, of the right shape."""
    assert logits(span_of(encoder_work, head_of(encoder_work), None), [], LABELS).shape == (1, 0, LABELS)
