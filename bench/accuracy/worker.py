"""Peers that run in a process, and if need be with an interpreter, of their own: SetFit and transformers' Trainer.

The protocol is JSON lines. First in: what to train on. First out: what that took. Then in: lists of texts; out: their
probabilities.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from bench.accuracy import rows as r
from bench.accuracy.contender import Contender, Fitted, Floats, PeerPredictor, Setup
from bench.accuracy.sets import Trial

FOLDER = Path(__file__).parent
EPOCHS = {"trainer": {"few": 20, "many": 4}, "setfit": {"few": 1, "many": 1}}
FEW = 2_000  # rows
ITERATIONS = 10  # of SetFit: pairs of each kind per row, so long as its steps allow
SETFIT_BATCH = 16


class Process:
    """A worker that is training, then answering."""

    def __init__(self, python: str, script: str, request: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [python, str(FOLDER / script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.trained = self._ask(request)

    def scores(self, texts: list[str]) -> Floats:
        return np.array(self._ask(texts))

    def close(self) -> None:
        self._process.communicate()

    def _ask(self, message: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._process.args[1]} ended with status {self._process.wait()}")
        return json.loads(answer)


def request(trial: Trial, setup: Setup, epochs: int, iterations: int) -> dict[str, Any]:
    """What a worker trains on: texts, numbers of labels, and the settings of the run; `iterations` is for SetFit."""
    number = {label: i for i, label in enumerate(trial.labels)}
    return {
        "texts": list(map(r.text, trial.train)), "wanted": [number[row["label"]] for row in trial.train],
        "labels": len(number), "several": trial.combined, "base": str(setup.base), "seed": setup.seed,
        "epochs": epochs, "iterations": iterations, "folder": str(setup.work),
    }  # fmt: skip


def fit(trial: Trial, setup: Setup, *, name: str) -> Fitted:
    epochs = EPOCHS[name]["few" if len(trial.train) < FEW else "many"]
    iterations = min(ITERATIONS, max(1, setup.steps * SETFIT_BATCH // (2 * len(trial.train))))
    process = Process(setup.python, f"{name}_worker.py", request(trial, setup, epochs, iterations))
    trained = process.trained
    predictor = PeerPredictor(name, trial, process.scores)
    return Fitted(predictor, trained["seconds"], trained["cpu_seconds"], trained["notes"], close=process.close)


@cache
def _version_there(python: str, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def setfit(python: str) -> Contender:
    return Contender(partial(fit, name="setfit"), lambda: f"setfit {_version_there(python, 'setfit')}", "SetFit")


TRAINER = Contender(
    partial(fit, name="trainer"), lambda: f"transformers {version('transformers')}", "transformers' Trainer"
)
