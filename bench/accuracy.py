"""Accuracy of the sealed bundle, through the runtime, on public intent data sets.

    python bench/accuracy.py --data data --sets banking77 [--budget 5m] [--seed 0]

FOLDER (--data) holds one folder per set with train.jsonl and test.jsonl, as `data` here does. CLINC150 is measured in
scope: its rows labelled `oos` are left out. Each set is tuned with `nanosmith tune … --json`; one line per set is
printed and appended to --out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OUT_OF_SCOPE = "oos"


def in_scope(source: Path, target: Path) -> Path:
    """Copy the lines whose label is in scope."""
    lines = [line for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    kept = [line for line in lines if json.loads(line).get("label") != OUT_OF_SCOPE]
    target.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return target


def measure(folder: Path, train: str, extra: list[str]) -> dict[str, object]:
    """Tune on one set in a fresh data folder; returns what is worth keeping of the report."""
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        files = [in_scope(folder / name, home / name) for name in (train, "test.jsonl")]
        command = [sys.executable, "-m", "nanosmith", "tune", str(files[0]), "--test", str(files[1]), "--home",
                   str(home), "--json", *extra]  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
    report = result["report"]
    return {
        "set": folder.name, "train": train, "n": report["n"], "accuracy": round(100 * report["accuracy"], 2),
        "interval": [round(100 * bound, 2) for bound in report["accuracy_interval"]],
        "macro_f1": round(100 * report["macro_f1"], 2), "recipe": result["recipe"], "bytes": report["bytes"],
        "p50_ms": round(report["latency_ms"]["p50"], 3), "seconds": round(time.monotonic() - began),
        "ece": report["calibration"] and round(report["calibration"]["ece"], 4),
        "candidates": report["made"].get("candidates"), "parity": report["made"].get("parity"), "options": extra,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["banking77", "hwu64", "clinc150"])
    parser.add_argument("--train", default="train.jsonl", help="train.jsonl, or train_10shot.jsonl for few examples")
    parser.add_argument("--out", type=Path, default=Path("accuracy.jsonl"))
    known, extra = parser.parse_known_args()  # the rest goes to nanosmith tune
    for name in known.sets:
        row = measure(known.data / name, known.train, extra)
        print(json.dumps(row), flush=True)
        with known.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
