"""Counts of a Dataset: examples per label and lengths of the texts."""

from __future__ import annotations

from collections import Counter

import msgspec

from nanosmith.core.task import Value
from nanosmith.data.dataset import Dataset


class Lengths(msgspec.Struct, frozen=True):
    """Characters of the texts: median, 95th percentile (nearest rank) and maximum."""

    p50: int
    p95: int
    max: int


def labels_of(value: Value) -> tuple[str, ...]:
    """The labels of a value of either kind."""
    return (value,) if isinstance(value, str) else value


def label_counts(dataset: Dataset) -> dict[str, int]:
    """How many examples have each label, most frequent first; equal counts by name."""
    counts: Counter[str] = Counter()
    for value in dataset.values:
        counts.update(labels_of(value))
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def lengths(dataset: Dataset) -> Lengths:
    """Lengths of what the encoder reads; the dataset has at least one example."""
    ordered = sorted(map(len, dataset.texts))
    return Lengths(_percentile(ordered, 50), _percentile(ordered, 95), ordered[-1])


def answer_lengths(dataset: Dataset) -> Lengths:
    """Lengths of the answers of a Dataset of kind text."""
    ordered = sorted(len(str(value)) for value in dataset.values)
    return Lengths(_percentile(ordered, 50), _percentile(ordered, 95), ordered[-1])


def _percentile(ordered: list[int], percent: int) -> int:
    return ordered[-(-percent * len(ordered) // 100) - 1]
