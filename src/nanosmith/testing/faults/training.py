"""Training that is killed, and made again to its end: at random steps, and before flushes."""

from __future__ import annotations

import importlib
import itertools
import os
import random
import signal
from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

import msgspec

from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.store.bundles import sha256_of
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.testing.faults.apart import apart
from nanosmith.testing.faults.folder import check_models
from nanosmith.testing.faults.forked import break_by, fork, wait
from nanosmith.testing.faults.found import Findings, NotPossible, Outcome, Tick, unheard
from nanosmith.testing.faults.steps import before_flush, die
from nanosmith.testing.tiny import topic_rows, write_chat

SLOW_IMPORTS = ("matplotlib.pyplot", "onnxruntime", "transformers.models.bert.modeling_bert",
                "nanosmith.recipes.tune_encoder")  # fmt: skip
DATA = "topics.jsonl"
EPOCHS, MULTIPLIER, KEPT = 3, 0.1, 2
STEPS = 30  # of the whole run, with the figures after each epoch
POINTS = 0.5
LEAST_FLUSHES = 100
"""That there are at least: fewer, and the fault does not see them."""


def resume(folder: Path, *, kills: int = 3, seed: int = 0, broken: str = "", tick: Tick = unheard) -> Outcome:
    """A run is killed at random steps and made again; once, its newest state is cut short too. Each attempt repeats at
    most the steps of one interval (here: one step), of two where a state was cut short; the last one ends within
    POINTS of the accuracy of a run that was left alone. Raises FaultFound, NotPossible."""
    _require_torch()
    return apart(f"{__name__}:_resume", folder, tick, kills=kills, seed=seed, broken=broken)


def killed(folder: Path, *, every: int = 11, broken: str = "", tick: Tick = unheard) -> Outcome:
    """A run is killed before each `every`th flush, of a state, of a checkpoint's draft or of a bundle, and made again:
    it ends with the same weights and checkpoints as one that was left alone. Raises FaultFound, NotPossible."""
    _require_torch()
    return apart(f"{__name__}:_killed", folder, tick, every=every, broken=broken)


class End(msgspec.Struct):
    """What a run came to: the digest of its weights, its accuracy, and the names of its checkpoints."""

    weights: str
    accuracy: float
    checkpoints: list[str]


class Attempt(msgspec.Struct):
    """What was read of a run: each step that it made, with the last one of its fit, and its end unless it was killed
    before."""

    steps: list[tuple[int, int]]
    end: End | None

    @property
    def count(self) -> int:
        """How many steps it made; figures of one step may come twice."""
        return len(list(itertools.groupby(self.steps)))


class Run:
    """A run over a folder of its own."""

    def __init__(self, folder: Path, base: Path, broken: str = "") -> None:
        folder.mkdir()
        write_chat(folder / DATA, topic_rows(45))
        self.home = Home(open_home(folder / "home").root)
        self._folder = folder
        self._base = base
        self._broken = broken

    def attempt(self, *, after: int = 0, at_flush: int = 0) -> Attempt:
        """It gets SIGKILL as soon as this process has read so many steps of it, or before that flush."""
        reading, writing = os.pipe()

        def work() -> None:
            os.close(reading)
            break_by(self._broken)
            before_flush(at_flush, die)
            with os.fdopen(writing, "w") as out:
                self._tune(out)

        child = fork(work)
        os.close(writing)
        steps, end = [], None
        with os.fdopen(reading) as told:
            for line in told:
                if line.startswith("{"):
                    end = msgspec.json.decode(line, type=End)
                    continue
                step, _, total = line.partition("/")
                steps.append((int(step), int(total)))
                if len(steps) == after:
                    os.kill(child, signal.SIGKILL)
        wait(child)
        return Attempt(steps, end)

    def truncate_state(self) -> bool:
        """Cut the newest state short; False when there is none."""
        states = sorted((self._folder / "state").glob("*/states/*/step-*"))
        files = [path for path in (states[-1].iterdir() if states else ()) if path.suffix == ".safetensors"]
        for path in files:
            os.truncate(path, path.stat().st_size - 1)
        return bool(files)

    def _tune(self, out: TextIO) -> None:
        """At the end a JSON object follows the steps."""
        from nanosmith.flows.tune import tune

        watch = _Printer(out)
        settings = TuneSettings(
            base=str(self._base), recipe="tune_encoder", name="mine", epochs=EPOCHS,
            learning_rate_multiplier=MULTIPLIER,
        )  # fmt: skip
        tuned = tune(
            self._folder / DATA, settings=settings, home=self.home, watch=watch, keep_checkpoints=KEPT,
            state=self._folder / "state", state_interval_s=0,
        )  # fmt: skip
        weights = sha256_of(tuned.bundle.file("model.onnx"))
        out.write(msgspec.json.encode(End(weights, tuned.report.accuracy, watch.checkpoints)).decode() + "\n")


class _Printer(Watch):
    """Writes each step on a line; keeps the names of checkpoints."""

    def __init__(self, out: TextIO) -> None:
        self.checkpoints: list[str] = []
        self._out = out

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        self._out.write(f"{step}/{total_steps}\n")
        self._out.flush()

    def checkpoint(self, step: int, values: Mapping[str, float], model: str) -> None:
        self.checkpoints.append(model)


def _resume(folder: Path, tick: Tick, kills: int, seed: int, broken: str) -> Outcome:
    base, found, chance = _prepare(folder), Findings(), random.Random(seed)  # noqa: S311
    whole, run = Run(folder / "alone", base).attempt(), Run(folder / "killed", base, broken)
    last, interval, left = (0, 0), 1, whole.count + kills + 1  # one more for the state that is cut short
    for kill in range(kills):
        attempt = run.attempt(after=chance.randint(2, max(3, STEPS // kills)))
        _check_repeated(last, attempt.steps, interval, found)
        last = attempt.steps[-1] if attempt.steps else last
        left -= attempt.count
        interval = 2 if kill == kills // 2 and run.truncate_state() else 1
        found.raise_if_any()
        tick(kill + 1, kills)
    attempt = run.attempt()
    if attempt.count > left:
        found.lost.append(f"{attempt.count - left} steps more than one for each kill")
    _check_end(attempt, whole, found)
    _check_models(run, found)
    found.raise_if_any()
    return Outcome(kills, kills)


def _killed(folder: Path, tick: Tick, every: int, broken: str) -> Outcome:
    base, found, times = _prepare(folder), Findings(), 0
    whole = Run(folder / "alone", base).attempt()
    for times, number in enumerate(itertools.count(1, every)):
        run = Run(folder / str(number), base, broken)
        was_killed = run.attempt(at_flush=number).end is None
        _check_end(run.attempt(), whole, found)
        _check_models(run, found)
        found.raise_if_any()
        if not was_killed:
            break
        tick(times + 1, 0)
    if number < LEAST_FLUSHES:
        raise RuntimeError(f"only {number} flushes were seen")
    return Outcome(times, times)


def _require_torch() -> None:
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise NotPossible("there is no torch; run: pip install 'nanosmith[train]'")


def _prepare(folder: Path) -> Path:
    """The base of all runs. What is slow to import is imported once, and nothing is computed in this process, as a fork
    of one that has threads may hang."""
    for module in SLOW_IMPORTS:
        importlib.import_module(module)
    from nanosmith.testing.tiny_base import save_tiny_base

    base = folder / "base"
    if wait(fork(lambda: save_tiny_base(base))):
        raise RuntimeError("the base could not be made")
    return base


def _check_repeated(last: tuple[int, int], steps: list[tuple[int, int]], interval: int, found: Findings) -> None:
    """`last` is the last step before the kill, of how many; a fit that had ended is followed by the next one."""
    if not steps or last == (0, 0):
        return
    first, is_next_fit = steps[0][0], last[0] == last[1] and steps[0][0] == 1
    repeated = last[0] - first + 1
    if repeated > interval and not is_next_fit:
        found.lost.append(f"{repeated} steps, killed at step {last[0]} of {last[1]}")


def _check_end(attempt: Attempt, whole: Attempt, found: Findings) -> None:
    """It ended as `whole`, a run that was left alone. Raises RuntimeError where that did not end."""
    end, wanted = attempt.end, whole.end
    if wanted is None:
        raise RuntimeError("a run that was left alone did not come to its end")
    if end is None:
        found.lost.append("the run, which failed by itself")
        return
    points = 100 * abs(end.accuracy - wanted.accuracy)
    if points > POINTS:
        found.wrong.append(f"the accuracy is {points:.1f} points from that of a run that was left alone")
    if end.weights != wanted.weights:
        found.wrong.append("the weights are not those of a run that was left alone")
    if end.checkpoints != wanted.checkpoints:
        found.lost.append(f"checkpoints: {end.checkpoints} in place of {wanted.checkpoints}")


def _check_models(run: Run, found: Findings) -> None:
    """All are whole. What an attempt sealed and did not come to register is swept by workers, who are not here."""
    with closing(open_ledger(run.home)) as ledger:
        check_models(run.home, ledger, found)
