"""The score of "none of these" in a tuning: features of held-out examples, fit by fit, and the score at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from nanosmith.core.errors import InputError
from nanosmith.core.manifest import Scope
from nanosmith.core.settings import TuneSettings
from nanosmith.core.task import Task
from nanosmith.flows.progress import Progress
from nanosmith.predict.scope import SCOPE_FILE, Tensors

if TYPE_CHECKING:
    from nanosmith.recipes.work import Floats2d, Model, Samples

INSIDE, OUTSIDE = "scope-inside", "scope-outside"
MOST = 60_000.0  # that a float16 holds


class FittedScope(msgspec.Struct, frozen=True):
    """What a bundle needs for the score: `scope` for its manifest, `tensors` for a file."""

    scope: Scope
    tensors: Tensors

    def write(self, folder: Path) -> None:
        (folder / SCOPE_FILE).write_bytes(save(small(self.tensors)))


def small(tensors: Tensors) -> dict[str, NDArray[np.floating]]:
    """In float16, but for what that cannot hold and for vectors."""
    return {
        name: array.astype(np.float16) if array.ndim > 1 and np.abs(array).max(initial=0) < MOST else array
        for name, array in tensors.items()
    }


class ScopeFitter:
    """Fits the score for the model that a tuning keeps; `outside` are the texts of examples of "none of these".

    Nothing is fitted for sets of labels: the empty set says it there.
    """

    def __init__(self, task: Task, outside: Sequence[str], settings: TuneSettings, progress: Progress) -> None:
        self._wanted = task.kind == "choice"
        self._outside, self._settings, self._progress = outside, settings, progress

    def look(self, fit: int, model: Model, train: Samples, held_out: Samples, logits: Floats2d) -> None:
        """Keep the features of examples that the model of this fit has not seen, whose logits (N, L) are known."""
        from nanosmith.recipes.parts import scope

        if not self._wanted or not len(held_out):
            return
        found = scope.held_out(model, train, held_out.texts, logits, self._outside)
        self._progress.keep(fit, INSIDE, found.inside)
        self._progress.keep(fit, OUTSIDE, found.outside)

    def fitted(self, fits: Iterable[int], model: Model, train: Samples) -> FittedScope | None:
        """The score of `model`, fitted on `train`, by what was seen in these fits; None where that was nothing."""
        from nanosmith.recipes.parts import scope

        fits = list(fits)
        inside, outside = (
            [rows for fit in fits if (rows := self._progress.kept(fit, name)) is not None] for name in (INSIDE, OUTSIDE)
        )
        if not inside:
            return None
        asked = self._settings
        made = scope.fit_scope(
            np.concatenate(inside), np.concatenate(outside), refuse=asked.refuse, label=asked.oos_label
        )
        return FittedScope(made, scope.tensors_of(model, train, self._outside)) if made else None


def check_tolerance(settings: TuneSettings) -> None:
    """Raises InputError where the share of refused queries is none."""
    if not 0 < settings.refuse < 1:
        raise InputError(
            "the share of in-scope queries that may be refused is out of range", got=settings.refuse,
            allowed="above 0, below 1", param="refuse", remedy="Try --refuse 0.05.",
        )  # fmt: skip
