"""What is learnt from a teacher, and what the loss is measured on: examples that the teacher has not seen, if there are
any.

Letters: N held-out examples.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.errors import InputError
from nanosmith.core.prediction import Predictor
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.data.as_labels import load_test
from nanosmith.data.dataset import Dataset
from nanosmith.data.kept import find_kept
from nanosmith.data.normal import normalise
from nanosmith.data.scope import apart, knowing
from nanosmith.data.splits import split
from nanosmith.data.summary import labels_of
from nanosmith.flows.assemble import HELD_OUT_SHARE, HELD_OUT_SHARE_SMALL
from nanosmith.flows.held_out import read_held_out
from nanosmith.store.bundles import Bundle
from nanosmith.store.home import Home

UNSEEN, RECORDED, HELD_OUT = "that the teacher has not seen", "that the teacher's tuning held out", "held out"
LEAST_OF_EITHER = 3
LEAST, MOST_SHARE = 50, 0.5  # unseen examples that are enough, and the share of all that may be held out


class Lesson(msgspec.Struct, frozen=True):
    """Learn from the rows `train` of `data` and from the texts `outside`, judge on `held` (N), of which `right` says
    what the teacher answers rightly. `held_rows` are places in the data whose digest is `digest`, empty where the held
    examples are no part of it; `source` says where they are from. `seen`: the teacher's last training was on them too,
    though `right` may be from an earlier one that was not."""

    data: Dataset
    train: list[int]
    outside: tuple[str, ...]
    held: Dataset
    right: NDArray[np.bool_]
    source: str
    digest: str
    held_rows: list[int] = []
    seen: bool = False


def lesson(
    teacher: Predictor, bundle: Bundle, train: Path, test: Path | None, home: Home, seed: int, watch: Watch
) -> Lesson:
    """The examples of both files by the teacher's task. Raises InputError, Cancelled."""
    none, task = bundle.manifest.scope.label if bundle.manifest.scope else None, bundle.manifest.task
    data, outside = _loaded(train, task, none)
    everything, texts = list(range(len(data))), tuple(outside.texts)
    if test is not None:
        held, _ = _loaded(test, task, none)
        right = answered(teacher, held, watch)
        return Lesson(data, everything, texts, held, right, f"of {test.name}", data.digest)
    rows, recorded, source = _held_out(bundle, data, home, seed)
    held, rest = data.subset(rows), sorted(set(everything) - set(rows))
    if min(len(held), len(rest)) < LEAST_OF_EITHER:
        raise InputError("too few examples to learn from and to judge on", where=str(train), param="data",
                         got=f"{len(data)} examples", allowed=f"{10 * LEAST_OF_EITHER} and more",
                         remedy="Add some, or name others to judge on with --test.")  # fmt: skip
    right = answered(teacher, held, watch) if recorded is None else recorded
    if source == UNSEEN:
        return Lesson(data, rest, texts, held, right, source, data.subset(rest).digest)
    seen = data.digest == bundle.manifest.data.digest
    if seen and recorded is None:
        watch.message("The teacher was trained on these examples: its own accuracy, and so the loss, is overestimated. "
                      "Name others with --test.", "warn")  # fmt: skip
    return Lesson(data, rest, texts, held, right, source, data.digest, rows, seen)


def _held_out(bundle: Bundle, data: Dataset, home: Home, seed: int) -> tuple[list[int], NDArray[np.bool_] | None, str]:
    """Which rows are held out, which of them the teacher got right before it saw them (None: to be asked), and what
    they are."""
    tenth = split(data, seed, HELD_OUT_SHARE if len(data) >= 1_000 else HELD_OUT_SHARE_SMALL).tune
    if rows := _unseen(bundle, data, tenth, home):
        return rows, None, UNSEEN
    record = read_held_out(bundle) if data.digest == bundle.manifest.data.digest else None
    return (record.rows.tolist(), record.right, RECORDED) if record else (tenth, None, HELD_OUT)


def answered(predictor: Predictor, data: Dataset, watch: Watch, stage: str = "ask the teacher") -> NDArray[np.bool_]:
    """Whether each example (N) is answered rightly."""
    right = np.zeros(len(data), dtype=np.bool_)
    for row, (example, wanted) in enumerate(zip(data.examples, data.values)):
        right[row] = predictor.predict([example.messages])[0].value == wanted
        watch.check()
        if row % 50 == 49 or row + 1 == len(data):
            watch.progress(stage, row + 1, len(data))
    return right


def _loaded(path: Path, task: Task, none: str | None) -> tuple[Dataset, Dataset]:
    """In scope, and out of it. Raises InputError for labels that the teacher does not have."""
    inside, outside = apart(load_test(path, knowing(task, none)), none)
    unknown = sorted({label for value in inside.values for label in labels_of(value)} - set(task.labels))
    if unknown:
        raise InputError("the teacher does not know these labels", where=str(path), param="data",
                         got=", ".join(map(repr, unknown[:5])), allowed=f"its {len(task.labels)} labels",
                         remedy="Tune the teacher on these examples first.")  # fmt: skip
    if not len(inside):
        raise InputError("no examples to learn from", where=str(path), param="data")
    return inside, outside


def _unseen(bundle: Bundle, data: Dataset, tenth: list[int], home: Home) -> list[int]:
    """Places of the examples that the teacher was not trained on, where that is known and they are enough: by what is
    kept of its examples, or since a tuning with this seed holds out just the `tenth`."""
    digest = bundle.manifest.data.digest
    if data.subset(sorted(set(range(len(data))) - set(tenth))).digest == digest:
        return tenth
    kept = find_kept(home.examples, digest, bundle.manifest.task)
    if kept is None:
        return []
    seen = {normalise(text) for text in kept.train.texts}
    rows = [row for row, text in enumerate(data.texts) if normalise(text) not in seen]
    return rows if LEAST <= len(rows) <= MOST_SHARE * len(data) else []
