"""What a recipe is given (Work), and what it gives back (a Model that can answer here, and be written as a draft).

Letters: N examples, L labels, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.task import Task, Value
from nanosmith.core.watch import Watch

if TYPE_CHECKING:
    from nanosmith.recipes.parts.base import Base

ENOUGH = 10_000  # examples, from which on more of the same kind add little
Floats2d = NDArray[np.float32]
Targets = NDArray[np.int64] | NDArray[np.bool_]
"""What is wanted: (N) label indices for choice, (N, L) memberships for labels."""


class Samples(msgspec.Struct, frozen=True):
    """Texts (N), wanted targets, a loss weight (N) for each, and maybe a teacher's probabilities `soft` (N, L) and unit
    `vectors` (N, D)."""

    texts: list[str]
    targets: Targets
    weights: NDArray[np.float32]
    soft: Floats2d | None = None
    vectors: Floats2d | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __add__(self, other: Samples) -> Samples:
        return Samples(
            self.texts + other.texts,
            np.concatenate([self.targets, other.targets]),
            np.concatenate([self.weights, other.weights]),
            _joined_soft(self, other),
            None if self.vectors is None or other.vectors is None else np.concatenate([self.vectors, other.vectors]),
        )


def _joined_soft(first: Samples, second: Samples) -> Floats2d | None:
    """Of both (N, L), where one has them; the targets stand for those that the other lacks."""
    known = first.soft if first.soft is not None else second.soft
    if known is None:
        return None
    return np.concatenate([
        one.soft if one.soft is not None else memberships(one.targets, known.shape[1]).astype(np.float32)
        for one in (first, second)
    ])  # fmt: skip


def memberships(targets: Targets, labels: int) -> NDArray[np.bool_]:
    """Targets as (N, L), of choice too."""
    return np.asarray(targets[:, None] == np.arange(labels) if targets.ndim == 1 else targets, dtype=np.bool_)


Augment: TypeAlias = Callable[[Samples, np.random.Generator], Samples]
"""What one pass over the data trains on: as many samples as it is given. It is called again for every pass."""


class FitState(msgspec.Struct, frozen=True):
    """How far a fit is, after `step` steps: arrays, and `notes` that JSON can hold."""

    step: int
    arrays: dict[str, NDArray[Any]]
    notes: dict[str, Any]


class Keeper(Protocol):
    """Keeps the state of one fit, so that a process that is started after a crash can go on with it."""

    def load(self) -> FitState | None:
        """The newest state that an interrupted attempt at this very fit left."""
        ...

    def due(self) -> bool:
        """Whether it is time to save."""
        ...

    def save(self, state: FitState) -> None:
        """Store a state durably; on a full disk only a warning is told."""
        ...


class AnyWork(msgspec.Struct, frozen=True, kw_only=True):
    """What every training run is given.

    `limit_s` bounds the training in seconds. `options` are the user's hyperparameters; what is missing there the recipe
    derives from the data. `checkpoint(step, values, model)` is called after an epoch. A recipe that takes minutes goes
    on from what `keeper` has, and saves there whenever that is due.
    """

    seed: int
    watch: Watch
    options: Mapping[str, Any] = {}
    limit_s: float | None = None
    checkpoint: Callable[[int, dict[str, float], Any], None] | None = None
    keeper: Keeper | None = None


class Work(AnyWork, frozen=True, kw_only=True):
    """Everything a recipe of labels sees: no database, no network, no test data.

    `tune` is held-out data for early figures and the parity gate; it may be empty. `augment` makes what one pass trains
    on. `start_head`, weight (D, L) and bias (L), is where a head for the base's vectors starts from that is known
    already.
    """

    task: Task
    train: Samples
    tune: Samples
    base: Base
    augment: Augment | None = None
    start_head: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None


def enlarged(work: Work, most: int = 2 * ENOUGH) -> Samples:
    """The training samples, and with `work.augment` one to four augmented copies, of `most` samples in all if there
    are not more already: for recipes that do not pass over the data in epochs."""
    samples = work.train
    if work.augment is None:
        return samples
    for copy in range(min(4, max(1, most // len(work.train) - 1))):
        samples += work.augment(work.train, np.random.default_rng((work.seed, copy)))
    return samples


class Draft(msgspec.Struct, frozen=True):
    """What was written into a draft folder: the runtime that opens it, resolved settings, figures worth keeping."""

    predictor: str
    max_tokens: int
    settings: dict[str, Any]
    notes: dict[str, Any]


class Model(Protocol):
    """A fitted model."""

    trained_tokens: int

    def logits(self, texts: Sequence[str]) -> Floats2d:
        """Scores (N, L) from the training graph, before calibration."""
        ...

    def embeddings(self, texts: Sequence[str]) -> Floats2d:
        """Unit vectors (N, D) that the scores are made of; D is 0 where a recipe has none."""
        ...

    def write(self, folder: Path, check: Samples) -> Draft:
        """Write the files of a bundle; `check` is data for the parity gate between this graph and what is written."""
        ...


def targets_of(task: Task, values: Sequence[Value]) -> Targets:
    """Wanted values as numbers: (N) indices for choice, (N, L) memberships for labels."""
    index = {label: i for i, label in enumerate(task.labels)}
    if task.kind == "choice":
        return np.array([index[str(value)] for value in values], dtype=np.int64)
    wanted = np.zeros((len(values), len(task.labels)), dtype=np.bool_)
    for row, value in enumerate(values):
        wanted[row, [index[label] for label in value]] = True
    return wanted
