"""Joined queries from single ones: what is learnt, how it is tagged, and that the bundle says what the model said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.recipes.conftest import LABELS, topic_samples
from tests.recipes.test_contract import opened

from nanosmith.core.errors import InputError
from nanosmith.predict.segments import BEGIN, INSIDE, OUTSIDE
from nanosmith.recipes import tune_segments
from nanosmith.recipes.tune_segments import _kept, _tagged
from nanosmith.recipes.work import Samples, Work
from nanosmith.testing import topic_rows

OPTIONS = {"n_epochs": 25, "batch_size": 4, "learning_rate_multiplier": 10.0}


def single_topics(n: int) -> Samples:
    rows = topic_rows(n)
    targets = np.array([[label == wanted for label in LABELS.labels] for _, wanted in rows])
    return Samples([text for text, _ in rows], targets, np.ones(n, np.float32))


@pytest.fixture
def singles(work: Callable[..., Work]) -> Callable[..., Work]:
    def make(**more: object) -> Work:
        return work(LABELS, **{"train": single_topics(90), "tune": single_topics(12), "options": OPTIONS, **more})

    return make


def test_answers_joined_queries(singles: Callable[..., Work], tmp_path: Path) -> None:
    """The sealed bundle gives one label to a single query and both to two that no connective of the training joins."""
    predictor, model = opened(singles(), "tune_segments/1", tmp_path)
    first, second = "please refund the payment of 300", "my password is not accepted on 301"
    texts = [first, second, f"{first}. {second}", f"{first} // {second}"]
    given = [prediction.value for prediction in predictor.predict(texts)]
    assert given == [("refund",), ("login",), ("login", "refund"), ("login", "refund")]
    assert ((model.logits(texts) > 0).sum(axis=1) == [1, 1, 2, 2]).all()
    for text, among in zip(texts, predictor.predict(texts)):  # no answer depends on its neighbours
        [alone] = predictor.predict([text])
        assert alone.value == among.value
        np.testing.assert_allclose(alone.probabilities, among.probabilities, atol=1e-4)


def test_examples_need_one_label(work: Callable[..., Work]) -> None:
    """Examples with several labels are refused, with the first one named."""
    with pytest.raises(InputError, match="example 1"):
        tune_segments.fit(work(LABELS, train=topic_samples(LABELS, 12)))


def test_same_seed_same_model(singles: Callable[..., Work]) -> None:
    """The same seed gives the same scores."""
    works = [singles(limit_s=None, options={"n_epochs": 1}) for _ in range(2)]
    first, second = (tune_segments.fit(one).logits(["where is the parcel"]) for one in works)
    assert np.array_equal(first, second)


def test_tags_of_parts() -> None:
    """A part begins with its first token; special tokens and connectives are outside; what begins is never left out."""
    offsets = [(0, 0), (0, 2), (3, 6), (7, 10), (11, 13), (14, 17), (0, 0)]  # [CLS] aa bbb and cc ddd [SEP]
    tags, owners = _tagged(offsets, ((0, 6), (11, 17)))
    assert tags == [OUTSIDE, BEGIN, INSIDE, OUTSIDE, BEGIN, INSIDE, OUTSIDE]
    assert owners == [-1, 0, 0, -1, 1, 1, -1]
    for seed in range(20):
        assert {0, 1, 4, 6} <= set(_kept(tags, np.random.default_rng(seed)))


def test_fewer_passes_over_more_data() -> None:
    """The number of epochs falls with the number of examples, and what the user said is taken."""
    assert [tune_segments.resolve(n, {})["n_epochs"] for n in (100, 15_000, 50_000)] == [8, 4, 3]
    assert tune_segments.resolve(100, {"n_epochs": 2})["n_epochs"] == 2
