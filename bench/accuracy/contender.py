"""What a contender is, and a Predictor around anything that gives probabilities.

Letters: N texts, L labels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from bench.accuracy.sets import Trial
from numpy.typing import NDArray

from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.task import Task

Floats: TypeAlias = NDArray[np.floating[Any]]
Scores: TypeAlias = Callable[[list[str]], Floats]
"""From texts (N) to probabilities (N, L): they sum to 1 for one label, and are independent for several."""
THRESHOLD = 0.5


class Setup(NamedTuple):
    """What a contender is given beside a trial. `work` is a folder for its files, `kept` one for what several
    runs may use, `python` the interpreter of its packages; `steps` bounds the training of SetFit."""

    seed: int
    work: Path
    kept: Path
    base: Path
    budget: str | None
    python: str
    steps: int


class Fitted(NamedTuple):
    """A trained contender: how to ask it, and what its training took. `close` ends what it started."""

    predictor: Predictor
    seconds: float
    cpu_seconds: float
    notes: dict[str, Any]
    bytes: int | None = None
    close: Callable[[], None] = lambda: None


class Contender(NamedTuple):
    """`version` names what is measured. One that is not `seeded` gives the same at every seed. `suspects` are the
    training rows whose label it holds for wrong; None where it cannot tell."""

    fit: Callable[[Trial, Setup], Fitted]
    version: Callable[[], str]
    title: str
    seeded: bool = True
    suspects: Callable[[Trial, Setup], set[int]] | None = None


class PeerPredictor:
    """Asks `scores`. Without `calibrated` probabilities there is no confidence."""

    def __init__(self, name: str, trial: Trial, scores: Scores, *, calibrated: bool = True) -> None:
        self.name = name
        self.task = Task("labels" if trial.combined else "choice", trial.labels)
        self._scores, self._calibrated = scores, calibrated

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        if not inputs:
            return []
        return list(map(self._prediction, self._scores([self.task.text_of(given) for given in inputs])))

    def _prediction(self, row: Floats) -> Prediction:
        labels, probabilities = self.task.labels, tuple(row.tolist())
        if self.task.kind == "choice":
            best = max(probabilities)
            value, confidence = labels[probabilities.index(best)], best
        else:
            value = tuple(label for label, p in zip(labels, probabilities) if p >= THRESHOLD)
            confidence = math.prod(p if p >= THRESHOLD else 1 - p for p in probabilities)
        return Prediction(value, confidence if self._calibrated else None, labels, probabilities, self.name)


@dataclass
class Clock:
    """Wall and processor time since the start, in seconds."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    """Times what is done in this process."""
    clock, began, cpu_began = Clock(), time.monotonic(), time.process_time()
    yield clock
    clock.seconds, clock.cpu_seconds = time.monotonic() - began, time.process_time() - cpu_began
