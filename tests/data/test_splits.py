"""Frozen, stratified splits."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanosmith.core.errors import InputError
from nanosmith.core.example import Example, Message
from nanosmith.core.record import Field, RecordForm
from nanosmith.core.task import Task
from nanosmith.data.dataset import Dataset
from nanosmith.data.normal import normalise
from nanosmith.data.splits import Split, folds, split
from nanosmith.data.summary import labels_of

ROWS = st.lists(st.tuples(st.sampled_from([f"text {i}" for i in range(40)]), st.sampled_from("abcd")), min_size=1)


def dataset(rows: list[tuple[str, str]], kind: str = "choice") -> Dataset:
    examples = tuple(Example((Message("user", text),), answer, line) for line, (text, answer) in enumerate(rows, 1))
    form = "plain" if kind == "choice" else "separated"
    return Dataset(examples, Task(kind, form=form))  # type: ignore[arg-type]


def many(n: int) -> list[tuple[str, str]]:
    return [(f"text number {i}", "abcde"[i % 5]) for i in range(n)]


def tune_texts(data: Dataset, found: Split) -> set[str]:
    return {data.texts[i] for i in found.tune}


def check_split(data: Dataset, found: Split) -> None:
    """Both sides together are everything, no text is on both, and no label is missing from train."""
    assert sorted(found.train + found.tune) == list(range(len(data)))
    train, tune = ({normalise(data.texts[i]) for i in side} for side in (found.train, found.tune))
    assert not train & tune
    labels = {label for value in data.values for label in labels_of(value)}
    assert {label for i in found.train for label in labels_of(data.values[i])} == labels


@given(ROWS, st.integers(0, 5), st.floats(0.05, 0.95))
def test_split_properties(rows: list[tuple[str, str]], seed: int, share: float) -> None:
    """For any data a split is a partition without shared texts that trains on every label."""
    data = dataset(rows)
    check_split(data, split(data, seed, share))


@given(ROWS, st.integers(2, 6))
def test_fold_properties(rows: list[tuple[str, str]], k: int) -> None:
    """For any data each fold is such a split, and their held-out sides do not overlap."""
    data = dataset(rows)
    found = folds(data, 0, k)
    for one in found:
        check_split(data, one)
    held = Counter(i for one in found for i in one.tune)
    assert max(held.values(), default=1) == 1


@settings(max_examples=30)
@given(st.randoms(use_true_random=False))
def test_order_does_not_matter(random: object) -> None:
    """The same lines in another order are split in the same way."""
    rows = many(200)
    data = dataset(rows)
    shuffled = sorted(rows, key=lambda _: random.random())  # type: ignore[attr-defined]
    again = dataset(shuffled)
    assert tune_texts(data, split(data, 1)) == tune_texts(again, split(again, 1))
    for first, second in zip(folds(data, 1, 4), folds(again, 1, 4)):
        assert tune_texts(data, first) == tune_texts(again, second)


def test_appended_lines_move_nothing() -> None:
    """Lines that are appended leave the others on their sides."""
    before, after = dataset(many(1_000)), dataset(many(3_000))
    old = set(before.texts)
    assert tune_texts(before, split(before, 0)) == tune_texts(after, split(after, 0)) & old
    for first, second in zip(folds(before, 0, 5), folds(after, 0, 5)):
        assert tune_texts(before, first) == tune_texts(after, second) & old


def test_shares() -> None:
    """Each label's share of held-out examples is near the wanted one."""
    data = dataset(many(5_000))
    held = Counter(data.values[i] for i in split(data, 0, 0.2).tune)
    assert all(160 <= held[label] <= 240 for label in "abcde")
    for one in folds(data, 0, 5):
        assert 900 <= len(one.tune) <= 1_100


def test_seed_matters() -> None:
    """Another seed gives another split."""
    data = dataset(many(500))
    assert split(data, 0) != split(data, 1)
    assert folds(data, 0, 3) != folds(data, 1, 3)


def test_small_labels() -> None:
    """A label with two texts is on both sides, one with a single text (however often) stays in train."""
    rows = [("one", "single"), ("One!", "single"), ("first", "pair"), ("second", "pair"), *many(50)]
    for seed in range(20):
        data = dataset(rows)
        found = split(data, seed)
        held = {data.values[i] for i in found.tune}
        assert "pair" in held
        assert "single" not in held


def test_turns_of_one_conversation_stay_together() -> None:
    """Examples from the same line are on the same side, since one holds the text of the other."""
    places = [(line, turn) for line in range(100) for turn in range(3)]
    examples = [Example((Message("user", f"turn {turn} of {line}"),), "ab"[line % 2], line) for line, turn in places]
    data = Dataset(tuple(examples), Task("choice"))
    for found in (split(data, 0), *folds(data, 0, 4)):
        check_split(data, found)
        assert not {examples[i].line for i in found.train} & {examples[i].line for i in found.tune}
    assert 0 < len(split(data, 0).tune) < 90


@given(st.lists(st.tuples(st.integers(0, 30).map(str), st.sampled_from(["a", "b", "a, b", "b, c", ","])), min_size=1))
def test_sets_of_labels(rows: list[tuple[str, str]]) -> None:
    """The same holds for sets of labels, empty ones included."""
    data = dataset(rows, "labels")
    check_split(data, split(data, 0, 0.3))
    for one in folds(data, 0, 3):
        check_split(data, one)


def test_records_and_texts() -> None:
    """Entity labels and chosen values of records are on both sides, as labels are; texts are split by hash alone."""
    form = RecordForm((Field(("kind",), "choice", ('"a"', '"b"')),), ("city", "rare"))
    entity = {"label": "city", "start": 0, "end": 1, "text": "x"}
    answers = [
        {"kind": "b" if i in (3, 4) else "a", "entities": [{**entity, "label": "rare"} if i in (5, 6) else entity]}
        for i in range(40)
    ]
    examples = tuple(Example((Message("user", f"text {i}"),), json.dumps(answers[i]), i + 1) for i in range(40))
    found = split(Dataset(examples, Task("record", record=form)), 0)
    for pair in ({3, 4}, {5, 6}):
        assert len(pair & set(found.tune)) == 1
    texts = Dataset(examples, Task("text"))
    assert 1 <= len(split(texts, 0).tune) <= 12
    assert sum(len(one.tune) for one in folds(texts, 0, 4)) == 40


def test_bad_arguments() -> None:
    """A share outside (0, 1) and fewer than two folds are refused."""
    data = dataset(many(20))
    for share in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="share"):
            split(data, 0, share)
    with pytest.raises(InputError, match="folds"):
        folds(data, 0, 1)
