"""What a test set shares with its training set, and labels that only the test set has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanosmith.data.checks import ASIDE, unseen_labels, value_text, warning
from nanosmith.data.dataset import Dataset
from nanosmith.data.near import near_pairs
from nanosmith.data.normal import normalise
from nanosmith.data.problem import Problem, shown


def overlap(train: Dataset, test: Dataset) -> tuple[Problem, ...]:
    """Warnings about `test`: texts that are (nearly) the same in `train`, labels that `train` lacks.

    Lines and counts are those of the test set.
    """
    same, near = shared_texts(train.texts, test.texts)
    return (
        *_shared("shared_text", f"are also in the training data{ASIDE}", train, test, same),
        *_shared("near_shared_text", "are nearly the same as a text of the training data", train, test, near),
        *unseen_labels(test, train.task.labels),
    )


def shared_texts(train: Sequence[str], test: Sequence[str]) -> tuple[dict[int, int], dict[int, int]]:
    """Positions in `test` whose text is the same as one in `train`, and those where it is nearly the same, each with
    the position in `train`."""
    train_keys, test_keys = [normalise(text) for text in train], [normalise(text) for text in test]
    position = {key: i for i, key in reversed(list(enumerate(train_keys)))}
    same = {i: position[key] for i, key in enumerate(test_keys) if key in position}
    rest = [i for i in range(len(test_keys)) if i not in same]
    near = {rest[i]: j for i, j in near_pairs([test_keys[i] for i in rest], train_keys)}
    return same, near


def _shared(code: str, what: str, train: Dataset, test: Dataset, pairs: dict[int, int]) -> list[Problem]:
    differ = sum(test.values[i] != train.values[j] for i, j in pairs.items())
    message = f"test texts that {what}: {len(pairs):,} of {len(test):,}, with another answer: {differ:,}"
    remedy = "Remove them from one of the two files: scores on them say nothing about new texts."
    return warning(code, message, remedy, test, sorted(pairs), _describer(train, test, pairs))


def _describer(train: Dataset, test: Dataset, pairs: dict[int, int]) -> Callable[[int], str]:
    def describe(i: int) -> str:
        j = pairs[i]
        return (
            f"test line {test.examples[i].line}: {shown(test.texts[i])} ({value_text(test.values[i])}), "
            f"training line {train.examples[j].line}: {shown(train.texts[j])} ({value_text(train.values[j])})"
        )

    return describe
