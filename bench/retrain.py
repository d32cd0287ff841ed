"""What a model keeps and learns when it goes on from an earlier one, beside a model made anew from all examples.

    python bench/retrain.py --data data/banking77 [--shots 20] [--new-shots 10] [--old 60] [--recipe tune_encoder]

A model of --old labels is tuned on --shots examples of each. Then it goes on
labels       with --new-shots examples of each of the other labels
labels-alone the same, where the old examples were not kept
examples     with --new-shots more examples of a third of its own labels
anew         nothing goes on: old and new labels, all examples together
Accuracy is measured on test.jsonl: on old labels before and after, on new labels, and on all. `lost` is the first minus
the second, in points. The seed draws labels and examples.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from nanosmith.core.errors import GateRefused
from nanosmith.core.settings import TuneSettings
from nanosmith.flows.tune import tune
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import Bundle
from nanosmith.store.home import open_home

Rows = list[dict[str, str]]


def read(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def write(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class Bench:
    """Draws labels and examples, tunes, and measures in points."""

    def __init__(self, data: Path, folder: Path, asked: argparse.Namespace) -> None:
        self._folder, self._asked = folder, asked
        self._home = open_home(folder / "home")
        draw = random.Random(asked.seed)
        rows = read(data / "train.jsonl")
        draw.shuffle(rows)
        self._by_label: dict[str, Rows] = defaultdict(list)
        for row in rows:
            self._by_label[row["label"]].append(row)
        names = sorted(self._by_label)
        draw.shuffle(names)
        self.old, self.new = names[: asked.old], names[asked.old :]
        test = read(data / "test.jsonl")
        self._test_old = [row for row in test if row["label"] in self.old]
        self._test_new = [row for row in test if row["label"] in self.new]

    def examples(self, labels: list[str], start: int, count: int) -> Rows:
        return [row for label in labels for row in self._by_label[label][start : start + count]]

    def forget_examples(self) -> None:
        """As if no model had kept its own."""
        shutil.rmtree(self._home.examples)

    def run(self, name: str, rows: Rows, **settings: Any) -> dict[str, Any]:
        """Tune on the rows; seconds and accuracies."""
        file = write(self._folder / f"{name}.jsonl", rows)
        began_s = time.monotonic()
        try:
            made = tune(file, home=self._home, settings=TuneSettings(name=name, seed=self._asked.seed, **settings))
        except GateRefused as error:
            return {"run": name, "refused": str(error), "seconds": round(time.monotonic() - began_s)}
        seconds = round(time.monotonic() - began_s)
        told = made.bundle.manifest.notes.get("retrained", {})
        return {"run": name, "examples": len(rows), "replayed": told.get("replayed_examples"), "seconds": seconds,
                "way": made.bundle.manifest.settings.get("interpolation"),
                "old": self.accuracy(made.bundle, self._test_old), "new": self.accuracy(made.bundle, self._test_new),
                "all": self.accuracy(made.bundle, self._test_old + self._test_new)}  # fmt: skip

    def accuracy(self, bundle: Bundle, rows: Rows) -> float:
        given = open_predictor(bundle, threads=2).predict([row["text"] for row in rows])
        right = sum(one.value == row["label"] for one, row in zip(given, rows))
        return round(100 * right / max(1, len(rows)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--old", type=int, default=60, help="labels of the earlier model")
    parser.add_argument("--shots", type=int, default=20)
    parser.add_argument("--new-shots", type=int, default=10)
    parser.add_argument("--recipe", default="tune_encoder", choices=["tune_encoder", "frozen_linear", "static"])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        bench = Bench(asked.data, Path(made), asked)
        first = bench.examples(bench.old, 0, asked.shots)
        added = bench.examples(bench.new, 0, asked.new_shots)
        more = bench.examples(bench.old[: len(bench.old) // 3], asked.shots, asked.new_shots)
        before = bench.run("support", first, recipe=asked.recipe)
        print(json.dumps(before), flush=True)
        on = {"base": "support", "recipe": asked.recipe}
        runs = [
            ("labels", added, on),
            ("examples", more, on),
            ("anew", first + added, {"recipe": asked.recipe}),
            ("labels-alone", added, on),
        ]
        for name, rows, settings in runs:
            if name == "labels-alone":
                bench.forget_examples()
            row = bench.run(name, rows, **settings)
            if "old" in row:
                row["lost"] = round(before["old"] - row["old"], 2)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
