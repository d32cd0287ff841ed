"""Examples of "none of these": taken out of a Dataset, so that their label is none of those that compete."""

from __future__ import annotations

from msgspec.structs import replace

from nanosmith.core.errors import InputError, did_you_mean
from nanosmith.core.task import Task
from nanosmith.data.dataset import Dataset


def apart(dataset: Dataset, label: str | None) -> tuple[Dataset, Dataset]:
    """The examples in scope, whose task lacks `label`, and those that have it; both keep their order.

    Without a `label` all are in scope. Raises InputError where the answers are sets, and where too little is left; of
    no examples nothing is.
    """
    if label is None:
        return dataset, dataset.subset([])
    require_choice(dataset)
    inside = [i for i, value in enumerate(dataset.values) if value != label]
    names = tuple(name for name in dataset.task.labels if name != label)
    if (len(dataset) and not inside) or len(names) < 2:
        raise InputError(
            "without those that are out of scope, examples of two labels and more are needed", param="oos_label",
            got=f"{len(inside):,} examples", remedy="Add examples that are in scope.",
        )  # fmt: skip
    outside = [i for i, value in enumerate(dataset.values) if value == label]
    task = replace(dataset.task, labels=names)
    kept = Dataset(
        tuple(dataset.examples[i] for i in inside), task, source=dataset.source, format=dataset.format,
        problems=dataset.problems, why=dataset.why,
    )  # fmt: skip
    return kept, dataset.subset(outside)


def knowing(task: Task, label: str | None) -> Task:
    """The task with `label` among those that answers may have, so that a test file with it is not warned of."""
    if label is None or label in task.labels or task.kind != "choice":
        return task
    return replace(task, labels=tuple(sorted((*task.labels, label))))


def nothing_outside(dataset: Dataset, label: str) -> str:
    """What to tell a user whose `label` is no example's; it may be a slip."""
    hint = did_you_mean(label, dataset.task.labels)
    said = f"no example has the out-of-scope label {label!r}: nothing is learned or measured of it."
    return f"{said} {hint}" if hint else said


def require_choice(dataset: Dataset) -> None:
    """Raises InputError where an example has a set of labels: the empty set says "none of these" there."""
    if dataset.task.kind != "choice":
        raise InputError(
            "an out-of-scope label needs examples with one label each", got=dataset.task.kind, allowed="choice",
            param="oos_label", remedy="Leave it out; an example of none of the labels has an empty list of them.",
        )  # fmt: skip
