"""A run that was interrupted goes on: the same model, nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.flows import choose
from nanosmith.flows.budget import Budget
from nanosmith.flows.tune import Tuned, tune
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import sha256_of
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.testing import topic_rows, write_chat
from nanosmith.testing.faults import FaultFound, training
from nanosmith.testing.faults.training import DATA, EPOCHS, KEPT, MULTIPLIER

ROOT = Path(__file__).parents[2]


class Killed(BaseException):
    """Stands for the end of the process."""


class Told(Watch):
    """Keeps what is told, and ends the process at the call of this number of one method."""

    def __init__(self, method: str = "", call: int = 0) -> None:
        self.messages: list[str] = []
        self.checkpoints: list[str] = []
        self.steps: list[int] = []
        self._method, self._left = method, call

    def _count(self, method: str) -> None:
        self._left -= method == self._method
        if method == self._method and not self._left:
            raise Killed

    def message(self, text: str, level: str = "info") -> None:
        self.messages.append(text)

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        self.steps.append(step)
        self._count("metrics")

    def checkpoint(self, step: int, values: Mapping[str, float], model: str) -> None:
        self._count("checkpoint")
        self.checkpoints.append(model)
        self._count("checkpoint told")

    def progress(self, stage: str, done: int, total: int) -> None:
        self._count(stage)


Run = Callable[..., Tuned]


class Ended(NamedTuple):
    """What a run came to: digests of the files that answer, what the choice was made from, its checkpoints."""

    weights: list[str]
    candidates: list[tuple[str, float, int]]
    checkpoints: list[str]
    accuracy: float


def end_of(tuned: Tuned, watch: Told) -> Ended:
    files = sorted(path for path in tuned.bundle.path.iterdir() if path.suffix in (".onnx", ".safetensors"))
    tried = [(one["recipe"], one["accuracy"], one["fits"]) for one in tuned.bundle.manifest.notes["candidates"]]
    return Ended([sha256_of(path) for path in files], tried, watch.checkpoints, tuned.report.accuracy)


def runner(folder: Path, home: Home, base: Path) -> Run:
    """Tune the encoder on two folds and then on all examples, with a state at every step."""
    train = write_chat(folder / DATA, topic_rows(45))

    def run(watch: Watch | None = None, *, state: Path = folder / "state", **more: Any) -> Tuned:
        given = {"base": str(base), "recipe": "tune_encoder", "epochs": EPOCHS, "learning_rate_multiplier": MULTIPLIER}
        return tune(train, settings=TuneSettings(**{**given, "name": "mine", **more}), home=home, watch=watch,
                    keep_checkpoints=KEPT, state=state, state_interval_s=0)  # fmt: skip

    return run


@pytest.fixture
def run(tmp_path: Path, home: Home, base_folder: Path) -> Run:
    return runner(tmp_path, home, base_folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Callable[..., Ended]:
    """The end of runs that were not interrupted, each made once."""
    ends: dict[str, Ended] = {}

    def end(held_out: str = "folds", **more: Any) -> Ended:
        key = str((held_out, more))
        if key not in ends:
            folder, watch = tmp_path_factory.mktemp("alone"), Told()
            ends[key] = end_of(runner(folder, open_home(folder / "home"), base_folder)(watch, **more), watch)
        return ends[key]

    return end


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(open_ledger(home)) as opened:
        yield opened


def callable_models(ledger: Ledger, home: Home) -> set[str]:
    """Names of all models, each of which answers; no other bundle lies beside theirs."""
    rows = ledger.models()
    for row in rows:
        assert open_predictor(home.bundles / row.bundle).predict(["refund"])
    assert {path.name for path in home.bundles.iterdir()} == {row.bundle for row in rows}
    return {row.name for row in rows}


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.long)])
def test_killed_at_random_steps(kills: int, tmp_path: Path) -> None:
    """Killed by SIGKILL at random steps, the process that goes on last ends with the very weights of a run that was
    left alone, and each one repeats at most the step whose state was not yet kept."""
    assert training.resume(tmp_path, kills=kills).times == kills


@pytest.mark.long
def test_forgotten_steps_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above fails for a training that keeps no state."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(FaultFound, match="steps more"):
        training.resume(tmp_path, kills=3, broken="tests.testing.broken:forgetful")


@pytest.mark.long
def test_killed_before_each_flush(tmp_path: Path) -> None:
    """Killed before any fsync of a state, a checkpoint's draft or a bundle, a run ends with the same weights and
    checkpoints when it is made again."""
    assert training.killed(tmp_path, every=11).times > 15


@pytest.mark.parametrize("call", [pytest.param(4, marks=pytest.mark.long), 10, 20])
def test_same_end_wherever_it_was_interrupted(
    call: int, run: Run, alone: Callable[..., Ended], ledger: Ledger, home: Home
) -> None:
    """Interrupted in either fold or in the fit on all examples, the run says where it goes on, and ends with the
    weights, the figures and the checkpoints that it would have had."""
    with pytest.raises(Killed):
        run(Told("metrics", call))
    assert ledger.models() == []
    watch = Told()
    assert end_of(run(watch), watch) == alone()
    assert any(message.startswith("Resumed from step") for message in watch.messages)
    assert len(watch.checkpoints) == KEPT
    assert callable_models(ledger, home) == {"mine", *watch.checkpoints}


def test_choice_is_not_repeated(run: Run, alone: Callable[..., Ended]) -> None:
    """Interrupted while `auto` tunes the encoder, the cheap recipes are not fitted again; the choice is the same."""
    with pytest.raises(Killed):
        run(Told("metrics", 2), recipe=None)
    watch = Told("train static embeddings", 400)  # the last fit alone has 300 steps
    assert end_of(run(watch, recipe=None), watch) == alone(recipe=None)
    assert not any(message.startswith("frozen_linear/1:") for message in watch.messages)


@pytest.mark.parametrize(
    "stage",
    [
        "evaluate",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("write the bundle", "check int8 against float32")),
    ],
)
def test_interrupted_after_the_training(stage: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one held-out tenth and no time for a second fit, no step is made again where only the bundle or the report
    was missing."""
    monkeypatch.setattr(choose, "FOLDS_BELOW", 0)
    monkeypatch.setattr(Budget, "left_s", lambda _: 1.0)
    with pytest.raises(Killed):
        run(Told(stage, 1), epochs=50)
    watch = Told()
    resumed = run(watch, epochs=50)
    assert not resumed.bundle.manifest.notes["fitted_on_all"]
    assert watch.steps == []


def test_second_fit_goes_on(run: Run, alone: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """With one held-out tenth, a run that was interrupted in the fit on all examples does not make the first again."""
    monkeypatch.setattr(choose, "FOLDS_BELOW", 0)
    first = Told("metrics", 3 * (3 + 1) + 2)
    with pytest.raises(Killed):
        run(first)
    watch = Told()
    assert end_of(run(watch), watch) == alone("a tenth")
    assert watch.steps[0] == first.steps[-1] == 2


def test_announced_checkpoints_stay_and_are_replaced(run: Run, ledger: Ledger, home: Home) -> None:
    """A run that dies between its checkpoints leaves those that it announced, callable; the one that goes on announces
    all, under the same names, and leaves one model of each."""
    first = Told("checkpoint", 2)
    with pytest.raises(Killed):
        run(first)
    assert callable_models(ledger, home) == set(first.checkpoints)
    watch = Told("checkpoint told", 1)
    with pytest.raises(Killed):
        run(watch)
    assert watch.steps == []
    assert callable_models(ledger, home) == set(first.checkpoints)
    last = Told()
    run(last)
    assert callable_models(ledger, home) == {"mine", *last.checkpoints}
    assert (len(last.checkpoints), last.checkpoints[0]) == (2, first.checkpoints[0])


def test_run_again_after_its_end(run: Run, ledger: Ledger, home: Home) -> None:
    """A run that had ended, but whose caller died before he knew, is repeated in its last part alone; it gives the same
    model once."""
    first = Told()
    end = end_of(run(first), first)
    watch = Told()
    assert end_of(run(watch), watch) == end
    assert watch.steps == []
    assert callable_models(ledger, home) == {"mine", *watch.checkpoints}


def test_truncated_newest_state_is_passed_over(run: Run, alone: Callable[..., Ended], tmp_path: Path) -> None:
    """Where the newest state is cut short, the run says so and goes on from the one before it, to the same end."""
    with pytest.raises(Killed):
        run(Told("metrics", 6))
    newest = max((tmp_path / "state").glob("*/states/*")) / "fit.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    watch = Told()
    assert end_of(run(watch), watch) == alone()
    assert any("is damaged and is passed over" in message for message in watch.messages)
    assert watch.steps[0] > 1


@pytest.mark.parametrize(
    "other", [{"seed": 1}, *(pytest.param(o, marks=pytest.mark.long) for o in ({"batch_size": 8}, {"epochs": 2}))]
)
def test_state_of_other_settings_is_ignored(other: dict[str, int], run: Run) -> None:
    """A state is used for the same settings only."""
    with pytest.raises(Killed):
        run(Told("metrics", 5))
    watch = Told()
    run(watch, **other)
    assert not any(message.startswith("Resumed") for message in watch.messages)


def test_state_of_other_data_is_ignored(run: Run, tmp_path: Path) -> None:
    """A state is used for the same examples only, in the same order."""
    with pytest.raises(Killed):
        run(Told("metrics", 5))
    train = tmp_path / DATA
    lines = train.read_text().splitlines(keepends=True)
    train.write_text("".join([*lines[1:], lines[0]]))
    watch = Told()
    run(watch)
    assert not any(message.startswith("Resumed") for message in watch.messages)


def test_full_disk_does_not_stop_the_training(
    tiny_disk: Path, tmp_path: Path, home: Home, base_folder: Path, alone: Callable[..., Ended]
) -> None:
    """Where there is no room for a state, one warning is told, no part of it is left, and the training ends as it would
    have."""
    state = tiny_disk / "state"
    (tiny_disk / "filler").write_bytes(bytes(900 * 1024))
    train, watch = write_chat(tmp_path / DATA, topic_rows(45)), Told()
    settings = TuneSettings(base=str(base_folder), recipe="tune_encoder", epochs=EPOCHS, name="mine",
                            learning_rate_multiplier=MULTIPLIER)  # fmt: skip
    tuned = tune(train, settings=settings, home=home, watch=watch, state=state, state_interval_s=0)
    told = [message for message in watch.messages if "could not be kept" in message]
    assert len(told) == 1
    assert "the disk is full" in told[0]
    assert end_of(tuned, watch).weights == alone().weights
    assert not [
        path for path in tiny_disk.rglob("*") if path.name.startswith(".part-") or path.name == "fit.safetensors"
    ]
