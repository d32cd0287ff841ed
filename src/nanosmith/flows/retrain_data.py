"""What a retraining learns from, and what its loss is measured on.

old examples   kept with the earlier model, or a file (`--replay`); some of them are learnt again
new examples   the training file; what one of them says of a text replaces what an old one said
held           old examples that the earlier model has not seen: on them it is chosen how far to go
guard          all that it has not seen: on them the gate measures what the old classes have lost
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.settings import TuneSettings
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.data.as_labels import as_labels
from nanosmith.data.checks import listed, spelling_problems
from nanosmith.data.dataset import Dataset
from nanosmith.data.kept import Kept, find_kept
from nanosmith.data.load import load
from nanosmith.data.scope import apart
from nanosmith.data.splits import split
from nanosmith.data.summary import label_counts, labels_of
from nanosmith.data.union import fitted, is_old, joined, replayed, uncorrected, united
from nanosmith.flows.assemble import TuneData, tune_data
from nanosmith.flows.earlier import Earlier
from nanosmith.store.home import Home

REPLAY_LABEL, REPLAY_LEAST = 20, 1_000  # old examples that an encoder learns again: of each label, and of all
REPLAY_SHARE = 1.0  # of the number of new examples
HELD_SHARE, FEW_UNSEEN = 0.5, 1_000  # of the unseen old examples, of which fewer than FEW_UNSEEN are not divided
UNSEEN_SHARE = 0.1  # of the examples of a file of old ones, which the earlier model may have seen


class Plan(msgspec.Struct, frozen=True):
    """All Datasets have the united task. `data.train` is `replay` and `new` together; `kept` are the examples that go
    with the new model."""

    earlier: Earlier
    task: Task
    data: TuneData
    replay: Dataset
    new: Dataset
    held: Dataset
    guard: Dataset
    kept: Kept

    @property
    def knows_old(self) -> bool:
        return len(self.replay) > 0


def plan_retraining(
    earlier: Earlier, train: Path | Dataset, test: Path | Dataset | None, settings: TuneSettings, home: Home,
    watch: Watch,
) -> Plan:  # fmt: skip
    """Load, check and divide old and new examples. Raises InputError, Damaged."""
    new = fitted(train if isinstance(train, Dataset) else _load_new(train, earlier.task), earlier.task)
    new, outside = apart(new, earlier.oos_label)
    old = _old_examples(earlier, settings, home)
    task = united(earlier.task, new, old.train.examples if old else ())
    new = _checked(_of(task, new), earlier.task)
    _tell(earlier, old, new, watch)
    data = tune_data(new, test, msgspec.structs.replace(settings, oos_label=earlier.oos_label), watch)
    nothing = Dataset((), task)
    seen, unseen = (_of(task, old.train), _of(task, old.test)) if old else (nothing, nothing)
    seen, unseen = uncorrected(seen, data.train, data.test), uncorrected(unseen, data.train, data.test)
    per_label = len(seen) if earlier.is_static else _per_label(len(data.train), earlier.task)
    chosen = seen.subset(replayed(seen, per_label, settings.seed))
    held, others = _halves(unseen, settings.seed)
    report = data.test if test is not None else joined(task, others, data.test)
    note = data.note if test is not None else f"{data.note}, and {len(others):,} old examples"
    known = data.test.subset([i for i, value in enumerate(data.test.values) if is_old(value, earlier.task)])
    guard = joined(task, unseen, known) if test is not None or not len(unseen) else unseen
    if not len(report):
        raise InputError("there are too few examples to hold one out for the report", got=len(new), param="test",
                         remedy="Name examples with known answers with --test, or old ones with --replay.")  # fmt: skip
    both = joined(task, chosen, data.train)
    return Plan(
        earlier, task, TuneData(both, report, note, tuple(outside.texts), data.test_outside), chosen, data.train, held,
        guard, Kept(joined(task, seen, data.train), joined(task, unseen, data.test)),
    )  # fmt: skip


def _halves(unseen: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Those that the way is chosen on, and those of the report; both are all of them where they are few: on half of few
    it would be chance that chooses."""
    if len(unseen) < FEW_UNSEEN:
        return unseen, unseen
    sides = split(unseen, seed, HELD_SHARE)
    return unseen.subset(sides.train), unseen.subset(sides.tune)


def _load_new(path: Path, task: Task) -> Dataset:
    """The training file, its answers read as the earlier model's; single labels are sets of one where that answers with
    sets. Raises InputError."""
    try:
        return load(path, task=task)
    except InputError:
        if task.kind != "labels":
            raise
        try:
            return as_labels(load(path, kind="choice"))
        except InputError:
            pass
        raise


def _old_examples(earlier: Earlier, settings: TuneSettings, home: Home) -> Kept | None:
    """Those of the file that was named, else those that were kept, else None."""
    if settings.replay is None:
        return find_kept(home.examples, earlier.bundle.manifest.data.digest, earlier.task)
    data = load(settings.replay, task=earlier.task)
    unknown = sorted({label for value in data.values for label in labels_of(value)} - set(earlier.task.labels))
    if unknown:
        raise InputError(
            f"this file of old examples has labels that {earlier.name} lacks", where=settings.replay,
            got=listed(unknown), remedy="Move these lines to the training file.", param="replay",
        )  # fmt: skip
    sides = split(data, settings.seed, UNSEEN_SHARE)
    return Kept(data.subset(sides.train), data.subset(sides.tune))


def _per_label(new: int, old: Task) -> int:
    """How many old examples of each label are learnt again."""
    wanted = max(REPLAY_LEAST, REPLAY_SHARE * new)
    return max(REPLAY_LABEL, math.ceil(wanted / len(old.labels)))


def _of(task: Task, data: Dataset) -> Dataset:
    """The same examples, of this task."""
    return Dataset(data.examples, task, source=data.source, format=data.format, problems=data.problems, why=data.why)


def _checked(new: Dataset, old: Task) -> Dataset:
    """With its problems: that a label is new is none, that it is an old one in another spelling is."""
    problems = [problem for problem in new.problems if problem.code != "unseen_label"]
    problems += spelling_problems(Counter({**dict.fromkeys(old.labels, 0), **label_counts(new)}))
    return Dataset(new.examples, new.task, source=new.source, format=new.format, problems=tuple(problems), why=new.why)


def _tell(earlier: Earlier, old: Kept | None, new: Dataset, watch: Watch) -> None:
    added = [label for label in label_counts(new) if label not in earlier.task.labels]
    labels = f"{len(added):,} new labels" if added else "no new label"
    watch.message(f"Going on from {earlier.name}: {len(new):,} new examples, {labels}.")
    if old is None:
        watch.message(
            f"The examples of {earlier.name} were not kept: only its head learns, and what the old classes lose can be "
            "measured on new examples of them alone. Name the old examples with --replay.", "warn",
        )  # fmt: skip
