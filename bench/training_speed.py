"""Training time of Nanosmith's tune_encoder beside SetFit's and that of transformers' Trainer, in one run.

    python -m bench.training_speed --data data/banking77 [--train train_10shot.jsonl] [--epochs 8] [--rounds 3]

Same rows, same base weights, same number of passes, one process each, in turns. The time is that of the training
alone; loading, choosing, sealing and the report are left out. A pass of SetFit is over two pairs per row, one of the
same label and one of another (`num_iterations=1`). Printed are seconds (wall and processor), the accuracy on
test.jsonl, and how many times as long as Nanosmith each took. The peers need `pip install -r bench/requirements.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))

from bench.accuracy import rows as r
from bench.accuracy.contender import PeerPredictor, Setup
from bench.accuracy.measure import figures
from bench.accuracy.sets import Trial
from bench.accuracy.worker import Process, request

from nanosmith.recipes.base_folder import find_base

OURS = "tune_encoder"
CONTENDERS = (OURS, "trainer", "setfit")


def main() -> None:
    given = arguments()
    trial = Trial(r.read(given.data / given.train), {"clean": r.read(given.data / "test.jsonl")})
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in given.contenders}
    for number in range(given.rounds):
        for name in given.contenders:
            runs[name].append(once(name, trial, number, given))
            print(json.dumps({"contender": name, "round": number, **runs[name][-1]}), flush=True)
    for name, found in runs.items():
        print(json.dumps({"contender": name, **summary(found, runs.get(OURS))}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the rows and test.jsonl")
    parser.add_argument("--train", default="train_10shot.jsonl")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1, help="each with another seed")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--base", default="minilm-l6")
    parser.add_argument("--setfit-python", default=sys.executable, help="the interpreter that has SetFit")
    return parser.parse_args()


def once(name: str, trial: Trial, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Train and test one contender."""
    python = given.setfit_python if name == "setfit" else sys.executable
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(seed, Path(folder), Path(folder), find_base(given.base).path, None, python, 0)
        process = Process(python, f"{name}_worker.py", request(trial, setup, given.epochs, iterations=1))
        try:
            began = time.monotonic()
            found, _ = figures(trial, PeerPredictor(name, trial, process.scores))
            asked_s = time.monotonic() - began
        finally:
            process.close()
    trained = process.trained
    return {
        "seconds": round(trained["seconds"], 1), "cpu_seconds": round(trained["cpu_seconds"], 1),
        "accuracy": found["accuracy"], "test_seconds": round(asked_s, 1), "notes": trained["notes"],
    }  # fmt: skip


def summary(found: list[dict[str, Any]], ours: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Means over the rounds; `times` is the median over the rounds of this contender's time by ours."""
    means = {name: round(statistics.mean(one[name] for one in found), 2) for name in ("seconds", "cpu_seconds",
                                                                                       "accuracy")}  # fmt: skip
    if not ours:
        return means
    ratios = {
        f"{name}_by_ours": round(statistics.median(a[name] / b[name] for a, b in zip(found, ours, strict=True)), 2)
        for name in ("seconds", "cpu_seconds")
    }
    return means | ratios


if __name__ == "__main__":
    main()
