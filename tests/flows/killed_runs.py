"""Runs that are killed and then made again to their end; see test_resume.py.

    python killed_runs.py FOLDER BASE steps KILLS      one run, killed KILLS times at random steps
    python killed_runs.py FOLDER BASE flushes EVERY    a run for each EVERYth fsync, killed before it

Each attempt is a fork, so that what takes seconds to import is imported once. Prints one JSON object per run: the lines
that each killed attempt told, and what the last one told and came to.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.flows.tune import tune
from nanosmith.store.bundles import sha256_of
from nanosmith.store.home import open_home

SLOW_IMPORTS = ("matplotlib.pyplot", "onnxruntime", "transformers.models.bert.modeling_bert",
                "nanosmith.recipes.tune_encoder")  # fmt: skip
DATA = "topics.jsonl"
EPOCHS, MULTIPLIER, KEPT = 3, 0.1, 2
STEPS = 30  # of the whole run, with the figures after each epoch


class Printer(Watch):
    """Writes each step on a line; keeps messages, and the names of checkpoints."""

    def __init__(self, out: TextIO) -> None:
        self.told: dict[str, list[Any]] = {"messages": [], "checkpoints": [], "steps": []}
        self._out = out

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        self.told["steps"].append(step)
        print(step, file=self._out, flush=True)

    def checkpoint(self, step: int, values: Mapping[str, float], model: str) -> None:
        self.told["checkpoints"].append(model)

    def message(self, text: str, level: str = "info") -> None:
        self.told["messages"].append(text)


def run(folder: Path, base: str, out: TextIO) -> None:
    """One attempt; at its end a JSON object follows the steps."""
    watch = Printer(out)
    settings = TuneSettings(
        base=base, recipe="tune_encoder", name="mine", epochs=EPOCHS, learning_rate_multiplier=MULTIPLIER
    )
    tuned = tune(folder / DATA, settings=settings, home=open_home(folder / "home"), watch=watch,
                 keep_checkpoints=KEPT, state=folder / "state", state_interval_s=0)  # fmt: skip
    end = {"weights": sha256_of(tuned.bundle.file("model.onnx")), "accuracy": tuned.report.accuracy}
    print(json.dumps(end | watch.told), file=out, flush=True)


def attempt(folder: Path, base: str, *, after: int = 0, before_flush: int = 0) -> list[Any]:
    """The lines of an attempt, which gets SIGKILL as soon as this process has read so many, or before that fsync."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.fsync = dying_at(before_flush)
        with os.fdopen(writing, "w") as out:
            run(folder, base, out)
        os._exit(0)
    os.close(writing)
    lines = []
    with os.fdopen(reading) as told:
        for line in told:
            lines.append(json.loads(line))
            if len(lines) == after:
                os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return lines


def dying_at(number: int) -> Callable[[int], None]:
    """An fsync that is the end of the process at its call of this number."""
    calls, real = itertools.count(1), os.fsync

    def fsync(handle: int) -> None:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    return fsync


def at_steps(folder: Path, base: str, kills: int) -> None:
    chance = random.Random(kills)
    killed = [attempt(folder, base, after=chance.randint(1, max(2, STEPS // kills))) for _ in range(kills)]
    print(json.dumps({"killed": killed, "last": attempt(folder, base)[-1]}))


def at_flushes(folder: Path, base: str, every: int) -> None:
    for number in itertools.count(1, every):
        own = folder / str(number)
        own.mkdir()
        shutil.copy(folder / DATA, own)
        killed = attempt(own, base, before_flush=number)
        print(json.dumps({"killed": [killed], "last": attempt(own, base)[-1]}))
        if killed and isinstance(killed[-1], dict):  # it came to its end
            break


if __name__ == "__main__":
    for module in SLOW_IMPORTS:
        importlib.import_module(module)
    {"steps": at_steps, "flushes": at_flushes}[sys.argv[3]](Path(sys.argv[1]), sys.argv[2], int(sys.argv[4]))
