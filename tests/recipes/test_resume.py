"""A fit that is interrupted anywhere and goes on ends like one that was left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from nanosmith.core.watch import Watch
from nanosmith.recipes import tune_encoder
from nanosmith.recipes.work import FitState, Work

OPTIONS = {"n_epochs": 4, "batch_size": 12, "learning_rate_multiplier": 0.1}  # 3 steps an epoch, with dropout


class Killed(BaseException):
    """Stands for the end of the process."""


class Memory:
    """A Keeper that saves at every step, by value as a file would."""

    def __init__(self) -> None:
        self.saved: bytes | None = None
        self.arrays: dict[str, Any] = {}

    def load(self) -> FitState | None:
        if self.saved is None:
            return None
        step, notes = msgspec.json.decode(self.saved)
        return FitState(step, self.arrays, notes)

    def due(self) -> bool:
        return True

    def save(self, state: FitState) -> None:
        self.saved = msgspec.json.encode((state.step, state.notes))
        self.arrays = {name: np.array(array) for name, array in state.arrays.items()}


class Recorder(Watch):
    """Keeps the figures, and ends the process after the step `killed_at`."""

    def __init__(self, killed_at: int = 0) -> None:
        self.figures: list[tuple[int, dict[str, float]]] = []
        self.earlier: list[tuple[int, dict[str, float]]] = []
        self._killed_at = killed_at

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        self.figures.append((step, dict(values)))
        if step == self._killed_at:
            raise Killed

    def resumed(self, earlier: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        self.earlier = [(step, dict(values)) for step, values in earlier]


def interrupted_at(steps: Sequence[int], make: Callable[..., Work], **more: Any) -> tuple[Recorder, Any]:
    """The watch and the model of the last attempt, after attempts that were killed at these steps."""
    keeper = Memory()
    for step in steps:
        with pytest.raises(Killed):
            tune_encoder.fit(make(watch=Recorder(step), keeper=keeper, options=OPTIONS, **more))
    watch = Recorder()
    return watch, tune_encoder.fit(make(watch=watch, keeper=keeper, options=OPTIONS, **more))


@pytest.mark.parametrize("steps", [(1,), (2, 3), (3, 4, 6, 7), (5, 5), (12,)])
def test_same_model_and_figures(steps: Sequence[int], work: Callable[..., Work]) -> None:
    """Killed at these steps, the model has the same scores to the last bit, and the same figures of every step."""
    alone = Recorder()
    model = tune_encoder.fit(work(watch=alone, options=OPTIONS))
    watch, resumed = interrupted_at(steps, work)
    texts = work().tune.texts
    assert np.array_equal(resumed.logits(texts), model.logits(texts))
    assert watch.earlier + watch.figures == alone.figures
    assert resumed.trained_tokens == model.trained_tokens


def test_only_the_last_step_is_lost(work: Callable[..., Work]) -> None:
    """With a state at every step, the step in which the process ended is made again, and no other."""
    watch, _ = interrupted_at((8,), work)
    assert watch.figures[0][0] == 8


def test_same_checkpoints(work: Callable[..., Work]) -> None:
    """Each attempt hands on checkpoints of the same steps; one that was handed on last is not lost or doubled."""
    seen: list[int] = []
    interrupted_at((7, 10), work, checkpoint=lambda step, figures, model: seen.append(step))
    assert seen == [6, 9, 12]


def test_finished_fit_is_not_trained_further(work: Callable[..., Work]) -> None:
    """Interrupted after its end, while the bundle was made, a fit with checkpoints is as it was: no step, no second
    checkpoint."""
    keeper, seen = Memory(), list[int]()
    given = {"keeper": keeper, "options": OPTIONS, "checkpoint": lambda step, figures, model: seen.append(step)}
    first = tune_encoder.fit(work(**given))
    watch = Recorder()
    second = tune_encoder.fit(work(watch=watch, **given))
    assert watch.figures == []
    assert seen == [6, 9, 12]
    assert np.array_equal(second.logits(["refund"]), first.logits(["refund"]))


def test_time_that_was_used_is_not_given_again(work: Callable[..., Work]) -> None:
    """A fit with a time limit has after an interruption what was left of it."""
    keeper, options = Memory(), {"n_epochs": 50, "batch_size": 1}
    with pytest.raises(Killed):
        tune_encoder.fit(work(n=200, watch=Recorder(10), keeper=keeper, limit_s=1_000, options=options))
    state = keeper.load()
    assert state is not None
    state.notes["gone_s"] = 999.0
    keeper.save(state)
    began = time.monotonic()
    model = tune_encoder.fit(work(n=200, keeper=keeper, limit_s=1_000, options=options))
    assert time.monotonic() - began < 30
    assert model.trained_tokens > 0
