"""Old and new examples as one: a task with the labels of both, and which of the old examples are learnt again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.example import Example
from nanosmith.core.limits import MAX_LABELS
from nanosmith.core.task import Task, Value
from nanosmith.data.checks import system_prompt
from nanosmith.data.dataset import Dataset
from nanosmith.data.normal import normalise
from nanosmith.data.splits import place
from nanosmith.data.summary import labels_of


def united(old: Task, new: Dataset, known: Iterable[Example] = ()) -> Task:
    """The old task with the new data's labels added; `known` are old examples. Raises InputError.

    Where all of the new examples have a system prompt and none of the old ones, the prompt is left out of the input:
    it would tell old from new.
    """
    labels = tuple(sorted({*old.labels, *(label for value in new.values for label in labels_of(value))}))
    if len(labels) > MAX_LABELS:
        raise InputError("too many labels, old and new together", got=len(labels), allowed=MAX_LABELS,
                         remedy="Merge rare labels, or split the task.")  # fmt: skip
    prompts = {system_prompt(example.messages) for example in new.examples}
    system = old.system
    if system is None and None not in prompts and not any(system_prompt(example.messages) for example in known):
        system = min(prompt for prompt in prompts if prompt is not None)
    return msgspec.structs.replace(old, labels=labels, system=system)


def fitted(new: Dataset, old: Task) -> Dataset:
    """The new examples with their answers in the old task's form. Raises InputError where they cannot be."""
    if new.task.kind == "labels" and old.kind == "choice":
        raise InputError(
            "the new examples have several labels each, the model to go on from answers with one",
            where=str(new.source) if new.source else None, got=new.task.kind, allowed=old.kind,
            remedy="Tune a new model on the old and new examples together.", param="base",
        )  # fmt: skip
    answers = [old.render(_value(value, old)) for value in new.values]
    examples = (msgspec.structs.replace(e, answer=answer) for e, answer in zip(new.examples, answers))
    return Dataset(tuple(examples), old, source=new.source, format=new.format, problems=new.problems, why=new.why)


def joined(task: Task, old: Dataset, new: Dataset) -> Dataset:
    """Old and new examples, in this order, as one Dataset of `task`. Lines of the old ones come after the new ones', as
    examples of one line are taken to be of one conversation."""
    last = max((example.line for example in new.examples), default=0)
    moved = (msgspec.structs.replace(example, line=last + example.line) for example in old.examples)
    return Dataset((*moved, *new.examples), task, source=new.source, format=new.format, why=new.why)


def uncorrected(old: Dataset, *new: Dataset) -> Dataset:
    """The old examples whose texts (case and punctuation aside) are in none of the new data: what a new example says
    replaces what an old one said."""
    texts = {normalise(text) for data in new for text in data.texts}
    return old.subset([i for i, text in enumerate(old.texts) if normalise(text) not in texts])


def replayed(old: Dataset, per_label: int, seed: int) -> list[int]:
    """Positions of `per_label` examples of each label, or of all where it has fewer; chosen by the hash of seed and
    text, so that appended examples leave the others chosen."""
    taken: Counter[str] = Counter()
    chosen = []
    for i in sorted(range(len(old)), key=lambda i: (place(normalise(old.texts[i]), seed), i)):
        names = labels_of(old.values[i]) or ("",)
        if any(taken[name] < per_label for name in names):
            taken.update(names)
            chosen.append(i)
    return sorted(chosen)


def is_old(value: Value, old: Task) -> bool:
    """Whether an answer has no label that the old task lacks."""
    return set(labels_of(value)) <= set(old.labels)


def _value(value: Value, old: Task) -> Value:
    """The same answer as the old task's kind has it."""
    return labels_of(value) if old.kind == "labels" else value
