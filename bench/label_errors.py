"""How many planted label errors `nanosmith check --deep` finds, and how many of those it names were planted.

    OMP_NUM_THREADS=1 python bench/label_errors.py FILE … [--rate 0.1] [--seeds 3] [--rows 0]

In each file this share of the labels is flipped: to any other label (random), or to one of the three labels whose mean
vectors are nearest (near). In a `labels` file one member of the set is replaced. The table has the mean over the seeds
of: examples named, recall (planted ones that are named), precision (named ones that were planted), the share of found
ones whose suggestion is the label before the flip (restored), and seconds on one thread without the vectors. `none`
plants nothing: what is named there, the file brought itself; such finds count as wrong in the rows above. `--rows`
takes a sample.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from nanosmith.core.task import Value
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.data.load import load
from nanosmith.data.summary import labels_of
from nanosmith.flows.audit import find_label_errors
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts.base import Base

BASE = "minilm-l6"
WAYS = ("random", "near", "none")
NEAR = 3  # labels to which a near flip goes


class Row(NamedTuple):
    """One run: examples named, and shares in 0–1 (NaN where nothing was planted)."""

    named: float
    recall: float
    precision: float
    restored: float
    seconds: float


def flipped(data: Dataset, other_labels: dict[str, list[str]], rate: float, seed: int) -> tuple[Dataset, set[int]]:
    """The examples with planted errors, and the positions of these."""
    random = np.random.default_rng(seed)
    able = [i for i, value in enumerate(data.values) if labels_of(value)]
    planted = random.permutation(able)[: round(rate * len(able))].tolist()
    examples = list(data.examples)
    for i in planted:
        wrong = _flip(data.values[i], other_labels, random)
        examples[i] = replace(examples[i], answer=data.task.render(wrong))
    return Dataset(tuple(examples), data.task, source=data.source, format=data.format), set(planted)


def _flip(value: Value, other_labels: dict[str, list[str]], random: np.random.Generator) -> Value:
    """The value with one of its labels replaced."""
    labels = labels_of(value)
    old = labels[random.integers(len(labels))]
    new = str(random.choice([label for label in other_labels[old] if label not in labels]))
    return new if isinstance(value, str) else tuple(sorted({*labels, new} - {old}))


def other_labels(data: Dataset, base: Base, way: str) -> dict[str, list[str]]:
    """To which labels each label may be flipped."""
    names = list(data.task.labels)
    if way == "random":
        return {name: [other for other in names if other != name] for name in names}
    vectors = base.vectors(data.texts)
    members = [[i for i, value in enumerate(data.values) if name in labels_of(value)] for name in names]
    means = np.stack([vectors[rows].mean(0) for rows in members])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    order = np.argsort(-means @ means.T, axis=1)
    near = {name: [names[j] for j in order[i] if j != i] for i, name in enumerate(names)}
    return {name: others[: NEAR + (data.task.kind == "labels")] for name, others in near.items()}


def measure(data: Dataset, base: Base, way: str, rate: float, seed: int) -> Row:
    """Plant, find, count."""
    wrong, planted = (data, set()) if way == "none" else flipped(data, other_labels(data, base, way), rate, seed)
    base.vectors(data.texts)
    began = time.process_time()
    suspects = find_label_errors(wrong, base, seed, Watch()).suspects
    seconds = time.process_time() - began
    hits = [one for one in suspects if one.index in planted]
    restored = sum(one.suggested == data.values[one.index] for one in hits)
    return Row(len(suspects), len(hits) / len(planted) if planted else np.nan,
               len(hits) / max(1, len(suspects)) if planted else np.nan,
               restored / max(1, len(hits)) if planted else np.nan, seconds)  # fmt: skip


def sampled(data: Dataset, rows: int) -> Dataset:
    chosen = np.random.default_rng(0).permutation(len(data))[: rows or len(data)]
    return data.subset(sorted(chosen.tolist()))


def table(files: Iterable[Path], base: Base, rate: float, seeds: int, rows: int) -> Iterable[str]:
    """The lines of the table, each as soon as it is measured."""
    yield "| file | examples | labels | flips | named | recall | precision | restored | seconds |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for file in files:
        data = sampled(load(file), rows)
        for way in WAYS:
            runs = [measure(data, base, way, rate, seed) for seed in range(seeds if way != "none" else 1)]
            mean = Row(*np.mean(runs, axis=0).tolist())
            found = (mean.recall, mean.precision, mean.restored)
            shares = " | ".join("–" if np.isnan(share) else f"{share:.1%}" for share in found)
            name = f"{file.parent.name}/{file.stem}"
            yield (f"| {name} | {len(data):,} | {len(data.task.labels)} | {way} | {mean.named:,.0f} | {shares} "
                   f"| {mean.seconds:.1f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0)
    given = parser.parse_args()
    for line in table(given.files, Base(find_base(BASE)), given.rate, given.seeds, given.rows):
        print(line, flush=True)


if __name__ == "__main__":
    main()
