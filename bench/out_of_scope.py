"""How well sealed bundles tell queries that are out of scope, through the runtime, on public intent data sets.

    python bench/out_of_scope.py --data FOLDER --sets clinc150 hwu64 [--train train_10shot.jsonl] [--size nano]

FOLDER (--data) holds one folder per set with train.jsonl and test.jsonl. CLINC150 has rows labelled `oos`; it is tuned
with those of its training file and without. Of any other set a quarter of the classes, drawn by --seed, is left out of
the training and out of scope in the test, which is harder: such queries are about the same things. Each set is tuned
with `nanosmith tune … --oos-label oos --json`; one line per run is printed and appended to --out.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OUT_OF_SCOPE = "oos"
LEFT_OUT = 0.25  # of the classes of a set without out-of-scope rows
Rows = list[dict[str, str]]


def read(file: Path) -> Rows:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [{"text": row["text"], "label": row["label"]} for row in map(json.loads, lines)]


def left_out(rows: Rows, seed: int) -> set[str]:
    """A quarter of the classes; none where the set has out-of-scope rows of its own."""
    labels = sorted({row["label"] for row in rows})
    if OUT_OF_SCOPE in labels:
        return set()
    return set(random.Random(seed).sample(labels, round(LEFT_OUT * len(labels))))


def files(folder: Path, train: str, shown: bool, seed: int, target: Path) -> tuple[Path, Path]:
    """Training and test file of one run; out-of-scope rows are in the first only if they are `shown`."""
    seen, asked = read(folder / train), read(folder / "test.jsonl")
    everything = read(folder / "train.jsonl")
    gone = left_out(everything, seed)
    kept = [row for row in seen if row["label"] not in gone | {OUT_OF_SCOPE}]
    if shown:
        kept += [row for row in everything if row["label"] == OUT_OF_SCOPE]
    asked = [row | {"label": OUT_OF_SCOPE} if row["label"] in gone else row for row in asked]
    for name, rows in (("train.jsonl", kept), ("test.jsonl", asked)):
        (target / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target / "train.jsonl", target / "test.jsonl"


def measure(folder: Path, train: str, shown: bool, seed: int, extra: list[str]) -> dict[str, object]:
    """Tune on one set in a fresh data folder; returns what is worth keeping of the report."""
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        fitted, asked = files(folder, train, shown, seed, home)
        command = [sys.executable, "-m", "nanosmith", "tune", str(fitted), "--test", str(asked), "--home", str(home),
                   "--oos-label", OUT_OF_SCOPE, "--seed", str(seed), "--json", *extra]  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
    report, scope = result["report"], result["report"]["scope"]
    return {
        "set": folder.name, "train": train, "oos_in_training": shown, "seed": seed, "recipe": result["recipe"],
        "accuracy": round(100 * report["accuracy"], 2), "inside": scope["inside"], "outside": scope["outside"],
        "oos_auroc": round(100 * scope["auroc"], 2), "oos_recall": round(100 * scope["recall"], 2),
        "refused_in_scope": round(100 * scope["refused"], 2), "recall_at_95": round(100 * scope["recall_at_95"], 2),
        "p50_ms": round(report["latency_ms"]["p50"], 3), "bytes": report["bytes"],
        "seconds": round(time.monotonic() - began), "options": extra,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["clinc150", "hwu64", "banking77"])
    parser.add_argument("--train", default="train.jsonl", help="train.jsonl, or train_10shot.jsonl for few examples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out_of_scope.jsonl"))
    known, extra = parser.parse_known_args()  # the rest goes to nanosmith tune
    for name in known.sets:
        own = any(row["label"] == OUT_OF_SCOPE for row in read(known.data / name / "train.jsonl"))
        for shown in (False, True) if own else (False,):
            row = measure(known.data / name, known.train, shown, known.seed, extra)
            line = json.dumps(row)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            with known.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
