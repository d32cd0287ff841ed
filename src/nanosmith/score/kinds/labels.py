"""Figures of `choice` and `labels`: accuracy, F1 per class and averaged, confusions, out of scope.

Letters: N examples, L labels of the model, C classes (these and wanted labels that the model does not have).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task, Value
from nanosmith.score import calibration as calibrate
from nanosmith.score import metrics
from nanosmith.score.confidence import confidence_figures
from nanosmith.score.intervals import bootstrap_macro_f1, wilson
from nanosmith.score.report import Unseen
from nanosmith.score.run import Run
from nanosmith.score.scope import ScopeFigures, scope_figures
from nanosmith.score.wrong import wrong_rows

MAX_NAMED = 5


def figures(task: Task, run: Run, outside: Sequence[Prediction]) -> dict[str, Any]:
    """The fields of a Report that tell how good the answers are; `outside` are answers to out-of-scope inputs."""
    names = _classes(task, run)
    want, got = (_coded(values, names, task) for values in (run.wanted, run.given))
    found = metrics.counts(want, got, len(names))
    right = metrics.correct(want, got)
    texts = [task.text_of(given) for given in run.inputs]
    return {
        "n": len(right),
        "accuracy": float(right.mean()),
        "accuracy_interval": wilson(int(right.sum()), len(right)),
        "macro_f1": float(metrics.macro_f1(found)),
        "macro_f1_interval": bootstrap_macro_f1(want, got, len(names)),
        "micro_f1": metrics.micro_f1(found),
        "per_class": metrics.per_class(names, found),
        "confusions": metrics.worst_confusions(run.wanted, run.given, texts),
        "calibration": confidence_figures(run.predictions, right, *_proper_scores(task, run)),
        "wrong_count": int((~right).sum()),
        "wrong": wrong_rows(run, right),
        "unseen": _unseen(task, run.wanted),
        "scope": _scope(task, run, outside),
    }


def remarks(task: Task, run: Run) -> list[str]:
    """How many answers are right by the size of the set, and which wanted labels the model does not have."""
    notes = []
    sizes = metrics.right_by_size(run.wanted, run.given)
    if len(sizes) > 1:
        told = ", ".join(f"{right / n:.1%} of {n:,} that want {size}" for size, (right, n) in sizes.items())
        notes.append(f"Wholly right by the number of labels: {told}.")
    if unseen := _unseen(task, run.wanted):
        named = ", ".join(repr(metrics.shorten(row.label, 40)) for row in unseen[:MAX_NAMED])
        more = f" and {len(unseen) - MAX_NAMED} more" if len(unseen) > MAX_NAMED else ""
        count = sum(row.count for row in unseen)
        notes.append(f"Wanted, but not labels of the model: {named}{more}, {count} in all. They count as wrong.")
    return notes


def _classes(task: Task, run: Run) -> tuple[str, ...]:
    """The model's labels, then all others that were wanted or given (C)."""
    met = set().union(*map(metrics.as_set, run.wanted), *map(metrics.as_set, run.given))
    return (*task.labels, *sorted(met.difference(task.labels)))


def _coded(values: Sequence[Value], names: Sequence[str], task: Task) -> metrics.Answers:
    """Values as class numbers (N) for choice, as a membership table (N, C) for labels."""
    number = {name: i for i, name in enumerate(names)}
    if task.kind == "choice":
        return np.array([number[str(value)] for value in values])
    table = np.zeros((len(values), len(names)), dtype=bool)
    for row, value in zip(table, values):
        row[[number[label] for label in value]] = True
    return table


def _scope(task: Task, run: Run, outside: Sequence[Prediction]) -> ScopeFigures | None:
    if task.kind != "choice":
        return None
    right = np.array([want == got for want, got in zip(run.wanted, run.given)])
    return scope_figures(run.predictions, right, outside)


def _proper_scores(task: Task, run: Run) -> tuple[float, float] | tuple[None, None]:
    """Brier score and NLL over the model's own labels."""
    if any(prediction.labels != task.labels for prediction in run.predictions):
        return None, None
    probabilities = np.array([prediction.probabilities for prediction in run.predictions])
    wanted: metrics.Answers
    if task.kind == "choice":
        number = {label: i for i, label in enumerate(task.labels)}
        wanted = np.array([number.get(str(value), -1) for value in run.wanted])
    else:
        wanted = np.array([[label in value for label in task.labels] for value in run.wanted])
    return calibrate.brier(probabilities, wanted), calibrate.negative_log_likelihood(probabilities, wanted)


def _unseen(task: Task, wanted: Sequence[Value]) -> tuple[Unseen, ...]:
    found = Counter(label for value in wanted for label in metrics.as_set(value))
    return tuple(Unseen(label, n) for label, n in found.most_common() if label not in set(task.labels))
