"""Data with one label per example, for a model that answers with sets: `nanosmith tune --combined`.

A single label becomes a set of one. Held-out examples are joined too, in ways that the training does not show, so that
figures and thresholds hold for combined queries as well.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec.structs import replace

from nanosmith.core.errors import InputError
from nanosmith.core.example import Example, Message
from nanosmith.core.task import Task
from nanosmith.data.augment.joins import Mix, joined
from nanosmith.data.augment.patterns import UNTRAINED
from nanosmith.data.dataset import Dataset
from nanosmith.data.load import load
from nanosmith.data.summary import labels_of

HELD_OUT_MIX = Mix(pairs=0.75, triples=0.25)  # of the joins that are added to held-out examples


def as_labels(dataset: Dataset) -> Dataset:
    """The same examples with a set of labels as the answer; a Dataset of this kind already is returned as it is.

    A plain answer becomes a JSON list, a field of a JSON object keeps its name and holds a list.
    """
    if dataset.task.kind == "labels":
        return dataset
    task = replace(dataset.task, kind="labels", form="json_list" if dataset.task.form == "plain" else dataset.task.form)
    examples = tuple(
        replace(example, answer=task.render(labels_of(value)))
        for example, value in zip(dataset.examples, dataset.values)
    )
    why = (*dataset.why, "Queries may combine several of these labels (combined): the answer is a set of labels.")
    return Dataset(examples, task, source=dataset.source, format=dataset.format, problems=dataset.problems, why=why)


def load_test(path: Path, task: Task) -> Dataset:
    """A test file for a model of this task. Where the answers are sets, the file may also have single known labels, as
    the training file of a combined model had them. Raises InputError."""
    try:
        return load(path, task=task)
    except InputError as error:
        single = _loaded_single(path, task)
        if single is None:
            raise error from None
        return single


def _loaded_single(path: Path, task: Task) -> Dataset | None:
    """The file as one of single labels of a `labels` task, each of them a set of one; None where it is not that."""
    if task.kind != "labels":
        return None
    form = "plain" if task.form == "json_list" else task.form
    try:
        single = as_labels(load(path, task=replace(task, kind="choice", form=form)))
    except InputError:
        return None
    known = set(task.labels)
    return single if all(known.issuperset(labels_of(value)) for value in single.values) else None


def with_joins(dataset: Dataset, seed: int) -> Dataset:
    """All examples of a `labels` Dataset, and as many joined texts made of them; the same for the same seed.

    A joined text is one user turn, what an encoder would read of the conversation.
    """
    index = {label: i for i, label in enumerate(dataset.task.labels)}
    members = np.zeros((len(dataset), len(index)), dtype=np.bool_)  # (N, L)
    for row, value in zip(members, dataset.values):
        row[[index[label] for label in labels_of(value) if label in index]] = True
    weights = np.ones(len(dataset), dtype=np.float32)
    made = joined(dataset.texts, members, weights, np.random.default_rng(seed), mix=HELD_OUT_MIX, patterns=UNTRAINED)
    labels = dataset.task.labels
    examples = [
        Example((Message("user", text),), dataset.task.render(tuple(labels[i] for i in np.flatnonzero(row))), line)
        for line, (text, row) in enumerate(zip(made.texts, made.targets), start=1)
    ]
    return Dataset((*dataset.examples, *examples), dataset.task, source=dataset.source, format=dataset.format)
