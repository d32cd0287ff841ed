"""Examples whose given label is likely wrong, and what training does with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from nanosmith.core.example import Example
from nanosmith.core.settings import LabelErrors
from nanosmith.core.task import Value
from nanosmith.data.audit.confident import Doubts
from nanosmith.data.audit.discriminant import Floats
from nanosmith.data.dataset import Dataset
from nanosmith.data.splits import NO_LABEL
from nanosmith.data.summary import labels_of

LIKELY = 0.5  # probability from which a given label counts as likely wrong
KEPT_SHARE = 0.5  # of each label's examples, whatever is found


class Suspect(msgspec.Struct, frozen=True):
    """The example at position `index`: its answer is wrong with this probability, and `suggested` fits better."""

    index: int
    suggested: Value
    probability: float


class Treated(msgspec.Struct, frozen=True):
    """A Dataset to train on, and how many of its likely label errors were dropped or down-weighted."""

    dataset: Dataset
    changed: int


def suspects_of(dataset: Dataset, judged: Sequence[int], probabilities: Floats, doubts: Doubts) -> list[Suspect]:
    """Most certain first; `judged` are the positions (N) that the probabilities (N, L) and the doubts are about."""
    labels = dataset.task.labels
    if doubts.other is not None:
        found = [
            Suspect(judged[row], labels[doubts.other[row]], float(doubts.probability[row]))
            for row in np.flatnonzero(doubts.probability >= LIKELY).tolist()
        ]
    else:
        found = _suspect_sets(dataset, judged, probabilities, doubts.probability)
    return sorted(found, key=lambda suspect: (-suspect.probability, suspect.index))


def _suspect_sets(
    dataset: Dataset, judged: Sequence[int], probabilities: Floats, doubts: Floats
) -> list[Suspect]:  # fmt: skip
    """Sets of labels with a doubtful member or a missing one. Where no answer is empty, none is suggested."""
    labels = dataset.task.labels
    may_be_empty = any(not value for value in dataset.values)
    found = []
    for row in np.flatnonzero((doubts >= LIKELY).any(axis=1)).tolist():
        given = dataset.values[judged[row]]
        suggested = {label for label, doubt in zip(labels, doubts[row]) if (label in given) != (doubt >= LIKELY)}
        if not suggested and not may_be_empty:
            suggested = {labels[int(probabilities[row].argmax())]}
        if suggested != set(given):
            found.append(Suspect(judged[row], tuple(sorted(suggested)), float(doubts[row].max())))
    return found


def treat(dataset: Dataset, suspects: Sequence[Suspect], how: LabelErrors) -> Treated:
    """Drop the suspects, or scale their weights by the probability that their label is right.

    `suspects` are ordered, most certain first. At least half of the examples of every label stay as they are.
    """
    spared = Counter(label for value in dataset.values for label in _classes(value))
    least = {label: int(np.ceil(KEPT_SHARE * count)) for label, count in spared.items()}
    treated: dict[int, Suspect] = {}
    for suspect in suspects if how != "keep" else ():
        labels = _classes(dataset.values[suspect.index])
        if all(spared[label] > least[label] for label in labels):
            spared.subtract(labels)
            treated[suspect.index] = suspect
    examples = tuple(_treated(example, treated.get(i), how) for i, example in enumerate(dataset.examples))
    kept = tuple(example for example in examples if example is not None)
    changed = Dataset(kept, dataset.task, source=dataset.source, format=dataset.format, problems=dataset.problems,
                      why=dataset.why)  # fmt: skip
    return Treated(changed, len(treated))


def _treated(example: Example, suspect: Suspect | None, how: LabelErrors) -> Example | None:
    if suspect is None:
        return example
    return None if how == "drop" else replace(example, weight=example.weight * (1 - suspect.probability))


def _classes(value: Value) -> tuple[str, ...]:
    """The labels of a value; no label at all is a class too."""
    return labels_of(value) or (NO_LABEL,)
