"""Which score tells queries that are out of scope: a comparison on the vectors of the untouched encoder.

    python -m bench.scope_scores --data FOLDER [--sets clinc150 hwu64 banking77] [--train train_10shot.jsonl]

Classes and left-out classes are those of bench/out_of_scope.py. A linear head is fitted as `frozen_linear/1` fits it.
One line per score is printed: the area under the ROC curve, and the share of out-of-scope queries that is refused when
95 % of those in scope are kept, both in %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bench.out_of_scope import OUT_OF_SCOPE, files, read
from numpy.typing import NDArray

from nanosmith.core.task import Task
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.head import fit_head
from nanosmith.score.scope import auroc, recall_at

Floats = NDArray[np.float64]
Score = Callable[[Floats, Floats], Floats]
"""Of embeddings (N, D) and logits (N, L): the larger (N), the further out of scope."""
SHRINKAGES = (0.1, 0.3, 0.5, 0.7)


def precision(rest: Floats, shrinkage: float) -> Floats:
    covariance = rest.T @ rest / len(rest)
    level = float(np.trace(covariance)) / len(covariance)
    inverse: Floats = np.linalg.inv((1 - shrinkage) * covariance + shrinkage * level * np.eye(len(covariance)))
    return inverse


def mahalanobis(x: Floats, means: Floats, inverse: Floats) -> Floats:
    """Squared distance (N) of x (N, D) from the nearest of `means` (L, D)."""
    linear = 2 * x @ inverse @ means.T
    nearest: Floats = ((x @ inverse) * x).sum(1) + (np.einsum("ld,de,le->l", means, inverse, means) - linear).min(1)
    return nearest


def scores(vectors: Floats, targets: NDArray[np.int64]) -> dict[str, Score]:
    """All scores, fitted on training vectors (N, D) with classes (N)."""
    means = np.stack([vectors[targets == c].mean(0) for c in range(int(targets.max()) + 1)])
    middle = vectors.mean(0, keepdims=True)
    found: dict[str, Score] = {
        "highest probability": lambda x, z: np.log(np.exp(z - z.max(1, keepdims=True)).sum(1)),
        "highest logit": lambda x, z: -z.max(1),
        "energy": lambda x, z: -np.log(np.exp(z).sum(1)),
        "cosine, class mean": lambda x, z: -(x @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).max(1),
        "cosine, 1 neighbour": lambda x, z: -(x @ vectors.T).max(1),
        "cosine, 5 neighbours": lambda x, z: -np.sort(x @ vectors.T, axis=1)[:, -5:].mean(1),
    }
    for shrinkage in SHRINKAGES:
        near, far = precision(vectors - means[targets], shrinkage), precision(vectors - middle, shrinkage)
        found[f"Mahalanobis, {shrinkage}"] = lambda x, z, near=near: mahalanobis(x, means, near)
        found[f"relative Mahalanobis, {shrinkage}"] = lambda x, z, near=near, far=far: (
            mahalanobis(x, means, near) - mahalanobis(x, middle, far)
        )
    return found


def compare(base: Base, folder: Path, train: str, seed: int) -> dict[str, tuple[float, float]]:
    """AUROC and recall at 95 % of each score on one set."""
    with tempfile.TemporaryDirectory() as made:
        seen, asked = (read(file) for file in files(folder, train, False, seed, Path(made)))
    labels = tuple(sorted({row["label"] for row in seen}))
    targets = np.array([labels.index(row["label"]) for row in seen])
    vectors, queries = (base.vectors([row["text"] for row in rows]) for rows in (seen, asked))
    head = fit_head(
        Task("choice", labels), torch.from_numpy(vectors), torch.from_numpy(targets), torch.ones(len(targets))
    )
    with torch.inference_mode():
        logits = head(torch.from_numpy(queries)).numpy().astype(np.float64)
    outside = np.array([row["label"] == OUT_OF_SCOPE for row in asked])
    result = {}
    for name, score in scores(vectors.astype(np.float64), targets).items():
        found = score(queries.astype(np.float64), logits)
        result[name] = (auroc(found[~outside], found[outside]), recall_at(found[~outside], found[outside], 0.95))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["clinc150", "hwu64", "banking77"])
    parser.add_argument("--train", default="train_10shot.jsonl")
    parser.add_argument("--base", default="minilm-l6")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    base = Base(find_base(asked.base))
    for name in asked.sets:
        for score, (area, recall) in compare(base, asked.data / name, asked.train, asked.seed).items():
            sys.stdout.write(f"{name:10} {score:26} {100 * area:6.2f} {100 * recall:6.1f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
