"""When states are kept, and what is known from them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nanosmith.core.errors import Cancelled
from nanosmith.core.watch import Watch
from nanosmith.flows import progress as module
from nanosmith.flows.progress import Progress, run_key
from nanosmith.recipes.work import FitState


class Clock:
    """A clock that only moves when told to; each reading of it while saving takes `tick_s`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s, self.tick_s = 100.0, 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=self.read))

    def read(self) -> float:
        self.now_s += self.tick_s
        return self.now_s


class Stopped(Watch):
    def should_stop(self) -> bool:
        return True


def state(step: int = 7) -> FitState:
    return FitState(step, {"weights": np.full((2, 2), step, np.float32)}, {"note": "x"})


def test_not_too_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is due after the interval, counted from the last one; with interval 0 always, without one never."""
    clock = Clock(monkeypatch)
    progress = Progress(tmp_path, Watch(), 60.0)
    keeper = progress.begin(1)
    assert keeper is not None
    assert not keeper.due()
    clock.now_s += 60
    assert keeper.due()
    keeper.save(state())
    assert not keeper.due()
    clock.now_s += 60
    assert keeper.due()
    assert Progress(tmp_path / "b", Watch(), 0.0).due()
    assert not Progress(tmp_path / "c", Watch()).due()


def test_slow_saving_is_rarer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where saving took seconds, the next state waits until that is at most a fiftieth of the time."""
    clock = Clock(monkeypatch)
    progress = Progress(tmp_path, Watch(), 60.0)
    keeper = progress.begin(1)
    assert keeper is not None
    clock.tick_s = 3.0
    keeper.save(state())
    clock.tick_s = 0.0
    clock.now_s += 140
    assert not keeper.due()
    clock.now_s += 1_000
    assert keeper.due()


def test_all_that_is_known_comes_back(tmp_path: Path) -> None:
    """Scores, seconds, decisions and the state of the fit that goes on are there again; what came later is not."""
    progress = Progress(tmp_path, Watch(), 0.0)
    progress.begin(1)
    scores = np.arange(6, dtype=np.float32).reshape(3, 2)
    seconds = progress.finish(1, scores, 0.0)
    assert not progress.once("late", False)
    keeper = progress.begin(2)
    assert keeper is not None
    keeper.save(state())
    progress.finish(2, scores, 0.0)

    again = Progress(tmp_path, Watch(), 0.0)
    found = again.scores(1)
    assert found is not None
    assert np.array_equal(found[0], scores)
    assert found[1] == pytest.approx(seconds)
    assert again.scores(2) is None
    assert not again.once("late", True)
    assert again.spent_s >= seconds
    keeper = again.begin(2)
    assert keeper is not None
    kept = keeper.load()
    assert kept is not None
    assert (kept.step, kept.notes, kept.arrays["weights"].tolist()) == (7, {"note": "x"}, [[7, 7], [7, 7]])
    later = again.begin(3)
    assert later is not None
    assert later.load() is None


def test_array_is_made_once(tmp_path: Path) -> None:
    """An array that was made is read the next time."""
    made = [np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)]
    for _ in range(2):
        assert (
            Progress(tmp_path, Watch(), 0.0).array("vectors", lambda: made.pop(0)).tolist() == np.ones((2, 3)).tolist()
        )


def test_stopped_run_saves_no_more(tmp_path: Path) -> None:
    """A run that was told to stop leaves the states as they are."""
    keeper = Progress(tmp_path, Stopped(), 0.0).begin(1)
    assert keeper is not None
    with pytest.raises(Cancelled):
        keeper.save(state())
    assert list(tmp_path.iterdir()) == []


def test_key_tells_inputs_apart() -> None:
    """The key follows from the inputs alone, whatever the order of their names."""
    assert run_key({"a": 1, "b": [2]}) == run_key({"b": [2], "a": 1})
    assert len({run_key({"a": 1}), run_key({"a": 2}), run_key({"b": 1})}) == 3
