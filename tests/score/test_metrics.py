"""Accuracy, F1 and confusions, against scikit-learn and against small cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_recall_fscore_support

from nanosmith.score import metrics

LABELS = st.integers(0, 4)
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=60)
SETS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=60)


def table(numbers: list[int]) -> np.ndarray:
    """Membership of four labels from the bits of each number."""
    return np.array([[bool(number >> bit & 1) for bit in range(4)] for number in numbers])


@given(PAIRS)
@settings(max_examples=40, deadline=None)
def test_choice_agrees_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """Macro-F1 averages over the classes that occur, micro-F1 is the accuracy."""
    wanted, got = (np.array(column) for column in zip(*pairs, strict=True))
    found = metrics.counts(wanted, got, 6)
    assert metrics.macro_f1(found) == pytest.approx(f1_score(wanted, got, average="macro", zero_division=0))
    assert metrics.micro_f1(found) == pytest.approx(metrics.accuracy(wanted, got))


@given(PAIRS)
@settings(max_examples=20, deadline=None)
def test_classes_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """Precision, recall, F1 and support of each class that occurs; classes that do not occur have no row."""
    wanted, got = (np.array(column) for column in zip(*pairs, strict=True))
    occurring = sorted({*wanted.tolist(), *got.tolist()})
    rows = metrics.per_class("abcdef", metrics.counts(wanted, got, 6))
    expected = precision_recall_fscore_support(wanted, got, labels=occurring, zero_division=0)
    assert [row.label for row in rows] == ["abcdef"[i] for i in occurring]
    assert np.allclose([[row.precision, row.recall, row.f1, row.support] for row in rows], np.transpose(expected))


@given(SETS)
@settings(max_examples=40, deadline=None)
def test_labels_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """Micro-F1 pools all labels; the accuracy counts whole sets."""
    wanted, got = (table(list(column)) for column in zip(*pairs, strict=True))
    found = metrics.counts(wanted, got, 4)
    assert metrics.micro_f1(found) == pytest.approx(f1_score(wanted, got, average="micro", zero_division=0))
    assert metrics.accuracy(wanted, got) == pytest.approx(np.mean([a == b for a, b in pairs]))


def test_macro_f1_of_labels_skips_labels_that_do_not_occur() -> None:
    """A label that is neither wanted nor given takes no part in the mean."""
    wanted, got = table([1, 3]), table([1, 1])
    assert metrics.macro_f1(metrics.counts(wanted, got, 4)) == pytest.approx((1 + 0) / 2)


def test_worst_confusions_of_choice() -> None:
    """Pairs come most frequent first, with up to three texts in the order of the examples."""
    wanted, got = ["a", "a", "a", "a", "b", "b"], ["b", "b", "b", "b", "a", "b"]
    texts = [f"text {i}" for i in range(6)]
    first, second = metrics.worst_confusions(wanted, got, texts)
    assert (first.wanted, first.given, first.count) == ("a", "b", 4)
    assert first.examples == ("text 0", "text 1", "text 2")
    assert (second.wanted, second.given, second.count, second.examples) == ("b", "a", 1, ("text 4",))


def test_worst_confusions_of_labels() -> None:
    """A label only missed or only added is confused with nothing; one missed and one added are a pair."""
    wanted = [("a", "b"), ("a",), ("a",)]
    got = [("a",), ("a", "c"), ("c",)]
    pairs = {(row.wanted, row.given) for row in metrics.worst_confusions(wanted, got, ["x", "y", "z"])}
    assert pairs == {("b", None), (None, "c"), ("a", "c")}


def test_long_texts_are_shortened() -> None:
    """An example text is one line of at most 160 characters, however long the input is."""
    (row,) = metrics.worst_confusions(["a"], ["b"], ["word\n" * 100_000])
    assert len(row.examples[0]) == 160
    assert "\n" not in row.examples[0]
    assert row.examples[0].endswith("…")
