"""How far a run is, kept on disk, so that a run that was killed goes on instead of starting again.

FOLDER/states/      the newest states: run.json, scores.safetensors, and fit.safetensors of the fit that goes on
FOLDER/vectors/     arrays that take long to compute, such as the texts' sentence vectors
FOLDER/models-F/    what was kept of the epochs of fit F

Fits are numbered from 1 in the order in which the run makes them, which is the same when it is run again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from nanosmith.core.errors import StorageFull
from nanosmith.core.watch import Watch
from nanosmith.store import checkpoints
from nanosmith.version import __version__

if TYPE_CHECKING:
    from nanosmith.recipes.work import FitState

FORMAT = 1
INTERVAL_S = 60.0
MAX_SHARE = 0.02  # of the time may go into saving
RUN_FILE, SCORES_FILE, FIT_FILE = "run.json", "scores.safetensors", "fit.safetensors"


class _Fit(msgspec.Struct, frozen=True):
    """The fit that goes on; `began_s` in seconds of the run."""

    number: int
    began_s: float
    step: int
    notes: dict[str, Any]


class _Run(msgspec.Struct):
    """`spent_s` is the time of all attempts, `fits` the seconds of the fits that are over, by number."""

    spent_s: float = 0.0
    fits: dict[int, float] = {}
    decisions: dict[str, bool] = {}
    fit: _Fit | None = None


def run_key(inputs: Mapping[str, Any]) -> str:
    """A name (32 hex digits) for all that decides what a run does; a state is only ever used for the same inputs."""
    content = msgspec.json.encode([FORMAT, __version__, inputs], order="deterministic")
    return hashlib.sha256(content).hexdigest()[:32]


class Progress:
    """The states of one run in `folder`. With `interval_s` None nothing is kept; with 0 at every step."""

    def __init__(self, folder: Path, watch: Watch, interval_s: float | None = None) -> None:
        self._folder, self._watch, self._interval_s = folder, watch, interval_s
        self._run, self._scores, self._number = _Run(), dict[str, NDArray[np.float32]](), 0
        self._found = folder
        self._warned = False
        if self.keeps:
            self._load()
        self._opened_s = self._saved_s = time.monotonic()
        self._took_s = 0.0

    @property
    def keeps(self) -> bool:
        return self._interval_s is not None

    @property
    def spent_s(self) -> float:
        """Seconds of this attempt and of the earlier ones, less what they did after their last state."""
        return self._run.spent_s + time.monotonic() - self._opened_s

    def once(self, question: str, answer: bool) -> bool:
        """The answer that the run gave first, in whichever attempt."""
        return self._run.decisions.setdefault(question, answer)

    def scores(self, fit: int) -> tuple[NDArray[np.float32], float] | None:
        """Held-out scores and seconds of a fit that is over, or None."""
        return (self._scores[str(fit)], self._run.fits[fit]) if fit in self._run.fits else None

    def finish(self, fit: int, scores: NDArray[np.float32], began_s: float) -> float:
        """The fit is over and gave these scores. Returns the seconds it took. Saved when the next fit begins, since
        until then its model may be wanted, which only its own state has."""
        self._scores[str(fit)], self._run.fits[fit] = scores, self.spent_s - began_s
        return self._run.fits[fit]

    def keep(self, fit: int, name: str, array: NDArray[np.float32]) -> None:
        """More that a fit gave, beside its scores; saved with them."""
        self._scores[f"{fit}/{name}"] = array

    def kept(self, fit: int, name: str) -> NDArray[np.float32] | None:
        """What `keep` was given, in whichever attempt."""
        return self._scores.get(f"{fit}/{name}")

    def begin(self, fit: int) -> FitKeeper | None:
        """The keeper of the fit that begins, or goes on; None where nothing is kept."""
        if not self.keeps:
            return None
        if state := self.state_of(fit):
            checkpoints.remove_after(self.models(fit), state.step)
        elif self._run.fits:
            self.save(None, {})
        return FitKeeper(self, fit)

    def array(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of this name, made only if no attempt has kept it."""
        folder = self._folder / name
        if saved := checkpoints.newest(folder, self._warn):
            found: NDArray[Any] = load_file(saved.path / "array.safetensors")["array"]
            return found
        made = make()
        self._store(folder, 0, lambda place: _write_arrays(place / "array.safetensors", {"array": made}))
        return made

    def models(self, fit: int) -> Path:
        """Where models of the epochs of a fit are kept."""
        return self._folder / f"models-{fit}"

    def due(self) -> bool:
        """Whether it is time for a state: not too often, and so that saving takes at most MAX_SHARE of the time."""
        if not self._interval_s:
            return self._interval_s == 0
        return time.monotonic() - self._saved_s >= max(self._interval_s, self._took_s / MAX_SHARE)

    def state_of(self, fit: int) -> _Fit | None:
        """What an interrupted attempt saved of this fit."""
        return self._run.fit if self._run.fit and self._run.fit.number == fit else None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of the state that the run goes on from; to be read before anything else is saved."""
        found: dict[str, NDArray[Any]] = load_file(self._found / FIT_FILE)
        return found

    def save(self, fit: _Fit | None, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store a state. Raises Cancelled: a run that was told to stop, maybe as another goes on with it, saves no
        more."""
        self._watch.check()
        run = msgspec.structs.replace(self._run, spent_s=self.spent_s, fit=fit)

        def write(folder: Path) -> None:
            (folder / RUN_FILE).write_bytes(msgspec.json.encode(run))
            _write_arrays(folder / SCORES_FILE, self._scores)
            if fit:
                _write_arrays(folder / FIT_FILE, arrays)

        began_s = time.monotonic()
        if self._store(self._folder / "states", self._number + 1, write):
            self._number += 1
        self._saved_s = time.monotonic()
        self._took_s = self._saved_s - began_s

    def _store(self, folder: Path, number: int, write: Callable[[Path], None]) -> bool:
        """Whether there was room. A run that cannot be resumed is better than none."""
        try:
            checkpoints.save(folder, number, write)
        except StorageFull as error:
            if not self._warned:
                self._warn(f"The state of the training could not be kept; the training goes on. {error}")
            self._warned = True
            return False
        return True

    def _load(self) -> None:
        saved = checkpoints.newest(self._folder / "states", self._warn)
        if saved is None:
            return
        self._found, self._number = saved.path, saved.step
        self._run = msgspec.json.decode((saved.path / RUN_FILE).read_bytes(), type=_Run)
        self._scores = load_file(saved.path / SCORES_FILE)
        fit = self._run.fit
        self._watch.message(f"Resumed from step {fit.step}." if fit else f"Resumed after {len(self._run.fits)} fits.")

    def _warn(self, text: str) -> None:
        self._watch.message(text, "warn")


class FitKeeper:
    """The Keeper of one fit."""

    def __init__(self, progress: Progress, number: int) -> None:
        self._progress, self._number = progress, number
        self._state = progress.state_of(number)
        self.began_s = self._state.began_s if self._state else progress.spent_s

    def load(self) -> FitState | None:
        from nanosmith.recipes.work import FitState

        state = self._state
        return FitState(state.step, self._progress.arrays(), state.notes) if state else None

    def due(self) -> bool:
        return self._progress.due()

    def save(self, state: FitState) -> None:
        fit = _Fit(self._number, self.began_s, state.step, state.notes)
        self._progress.save(fit, state.arrays)


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Through Python's own files, which tell a full disk as such; safetensors' save_file does not."""
    path.write_bytes(save({name: np.asarray(array, order="C") for name, array in arrays.items()}))
