from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tests.recipes.conftest import CHOICE, topic_samples

from nanosmith.core.watch import Watch
from nanosmith.recipes import tune_encoder
from nanosmith.recipes.work import Work


class Recorder(Watch):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, dict[str, float]]] = []
        self.settings: dict[str, Any] = {}

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        self.steps.append((step, total_steps, dict(values)))

    def resolved(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)


@pytest.mark.parametrize(("examples", "epochs"), [(10, 8), (1_000, 8), (10_000, 5), (15_000, 4), (50_000, 1)])
def test_fewer_passes_over_more_data(examples: int, epochs: int) -> None:
    """The number of epochs falls with the number of examples."""
    assert tune_encoder.resolve(examples, {})["n_epochs"] == epochs


def test_user_settings_win() -> None:
    """Hyperparameters that the user gave are taken as they are."""
    given = {"n_epochs": 7, "batch_size": 3, "learning_rate_multiplier": 0.5}
    resolved = tune_encoder.resolve(100, given)
    assert {name: resolved[name] for name in given} == given


def test_reports_each_step(work: Callable[..., Work]) -> None:
    """Each step reports a loss and an accuracy, each epoch figures on held-out data; the settings are told."""
    watch = Recorder()
    tune_encoder.fit(work(watch=watch, options={"n_epochs": 3, "batch_size": 12, "learning_rate_multiplier": 0.1}))
    assert [step for step, _, values in watch.steps if "train_loss" in values] == list(range(1, 10))
    assert {total for _, total, _ in watch.steps} == {9}
    valid = [values for _, _, values in watch.steps if "valid_loss" in values]
    assert len(valid) == 3
    assert valid[-1]["valid_mean_token_accuracy"] >= 0.9
    assert watch.settings["n_epochs"] == 3


def test_time_limit_ends_the_run(work: Callable[..., Work]) -> None:
    """A limit of one second ends a run of thousands of steps, with a usable model and its real number of steps."""
    began = time.monotonic()
    model = tune_encoder.fit(work(n=60, limit_s=1.0, options={"n_epochs": 50, "batch_size": 1}))
    assert time.monotonic() - began < 20
    held_out = topic_samples(CHOICE, 30)
    assert np.mean(model.logits(held_out.texts).argmax(1) == held_out.targets) >= 0.9


def test_checkpoints_of_the_last_epochs(work: Callable[..., Work]) -> None:
    """The last three epochs give checkpoints that can answer."""
    seen: list[tuple[int, dict[str, float]]] = []
    tune_encoder.fit(work(
        checkpoint=lambda step, figures, model: seen.append((step, figures)), options={"n_epochs": 5, "batch_size": 12}
    ))  # fmt: skip
    assert [step for step, _ in seen] == [9, 12, 15]
    assert all(0 <= figures["valid_mean_token_accuracy"] <= 1 for _, figures in seen)


def test_weight_zero_is_not_learned(work: Callable[..., Work]) -> None:
    """Whatever the wanted answer of an example with weight 0, the model is the same to the last bit."""
    logits = []
    for shift in (0, 1):
        made = work(options={"n_epochs": 2})
        made.train.targets[::4] = (made.train.targets[::4] + shift) % 3
        made.train.weights[::4] = 0
        logits.append(tune_encoder.fit(made).logits(made.tune.texts))
    assert np.array_equal(*logits)
