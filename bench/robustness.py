"""How sealed bundles hold against typos and a greedy attack by single characters, over several seeds.

    python bench/robustness.py --data test.jsonl [--misspellings pairs.jsonl] [--texts 1000] BUNDLE …

Each seed draws other texts and other typos. Without --misspellings, the real misspellings among the typos are the
held-out fifth of those that come along; pairs.jsonl has lines of {"correct": word, "typo": misspelling}, from any other
source. One line of JSON per bundle: means over the seeds in %, and the spread (standard deviation) of each.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from nanosmith.data.augment.noise import Typos
from nanosmith.data.load import load
from nanosmith.predict.open import open_predictor
from nanosmith.score.robustness import Robustness, robustness
from nanosmith.store.bundles import open_bundle


def pairs(path: Path) -> dict[str, list[str]]:
    """Misspellings by the word in small letters."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["correct"].lower()].append(row["typo"].lower())
    return found


def figures(found: Robustness) -> dict[str, float]:
    rows = {"one typo": found.one_typo} | {row.typos: row for row in found.curve}
    kept = {"attack keeps": 100 * found.attack.kept} if found.attack else {}
    return (
        {"clean": 100 * found.clean_accuracy} | {f"{name} loses": 100 * row.loss for name, row in rows.items()} | kept
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--misspellings", type=Path)
    parser.add_argument("--texts", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-attack", action="store_true")
    given = parser.parse_args()
    typos = Typos(known=pairs(given.misspellings)) if given.misspellings else None
    for path in given.bundles:
        bundle = open_bundle(path)
        examples = load(given.data, task=bundle.manifest.task)
        inputs, predictor = [example.messages for example in examples.examples], open_predictor(bundle)
        runs = [
            figures(robustness(predictor, inputs, examples.values, seed=seed, texts=given.texts, kinds=False,
                               attacked=not given.no_attack, typos=typos))
            for seed in range(given.seeds)
        ]  # fmt: skip
        means = {name: [round(float(f([run[name] for run in runs])), 2) for f in (np.mean, np.std)] for name in runs[0]}
        print(json.dumps({"bundle": bundle.manifest.name, "recipe": bundle.manifest.recipe, "texts": given.texts,
                          "seeds": given.seeds, **means}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
