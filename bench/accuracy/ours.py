"""Nanosmith itself: `nanosmith tune` in a process of its own, then the sealed bundle through the runtime."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from functools import cache, partial
from pathlib import Path

from bench.accuracy import rows as r
from bench.accuracy.contender import Contender, Fitted, Setup
from bench.accuracy.sets import Trial

from nanosmith.predict.open import open_predictor
from nanosmith.version import __version__

ROOT = Path(__file__).resolve().parents[2]
REPORTED = 200  # test rows of `nanosmith tune`'s own report; all are asked afterwards
MADE_BY_TUNING = ("src/nanosmith/core", "src/nanosmith/data", "src/nanosmith/flows", "src/nanosmith/predict",
                  "src/nanosmith/recipes", "src/nanosmith/score")  # fmt: skip


def fit(trial: Trial, setup: Setup, *, options: tuple[str, ...]) -> Fitted:
    """The time is that of the whole command."""
    train = r.write(setup.work / "train.jsonl", trial.train)
    test = r.write(setup.work / "test.jsonl", _spread(trial.tests["clean"], REPORTED))
    bundle = setup.work / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    command = [
        "tune", str(train), "--test", str(test), "--seed", str(setup.seed), "--base", str(setup.base),
        "--out", str(bundle), "--home", str(setup.kept / "home"), "--json", *options,
        *(["--budget", setup.budget] if setup.budget else []), *(["--combined"] if trial.combined else []),
        *(["--oos-label", trial.out_of_scope] if trial.out_of_scope else []),
    ]  # fmt: skip
    began, cpu_began = time.monotonic(), _cpu_of_children()
    done = nanosmith(command)
    seconds, cpu_seconds = time.monotonic() - began, _cpu_of_children() - cpu_began
    result = json.loads(done)
    made, report = result["report"]["made"], result["report"]
    notes = {
        "recipe": result["recipe"], "p50_ms": round(report["latency_ms"]["p50"], 3),
        "candidates": made.get("candidates"), "parity": made.get("parity"),
    }  # fmt: skip
    return Fitted(open_predictor(bundle), seconds, cpu_seconds, notes, report["bytes"])


def suspects(trial: Trial, setup: Setup) -> set[int]:
    """Rows that `nanosmith check --deep` holds for mislabelled."""
    train = r.write(setup.work / "train.jsonl", trial.train)
    done = nanosmith(["check", str(train), "--deep", "--base", str(setup.base), "--json"])
    found = json.loads(done)
    return {one["line"] - 1 for one in found["deep"]["findings"] if one["code"] == "label_error"}


def nanosmith(command: list[str]) -> str:
    """The last line that the command prints on stdout. Raises CalledProcessError."""
    whole = [sys.executable, "-m", "nanosmith", *command]
    done = subprocess.run(whole, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return done.stdout.strip().split("\n")[-1]


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _spread(rows: list[r.Row], count: int) -> list[r.Row]:
    return rows[:: max(1, len(rows) // count)]


@cache
def version() -> str:
    """Version and commit; a + where what tuning uses differs from the commit."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", *MADE_BY_TUNING)
    return f"{__version__} {commit}{'+' if changed else ''}".strip()


def _git(*arguments: str) -> str:
    """Its output; nothing where this is no checkout."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


OURS = {
    "nanosmith": Contender(partial(fit, options=()), version, "Nanosmith", suspects=suspects),
    "nanosmith_pico": Contender(partial(fit, options=("--size", "pico")), version, "Nanosmith, pico"),
}
