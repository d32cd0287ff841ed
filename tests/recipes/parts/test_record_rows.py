from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from nanosmith.data.record.align import AlignedExample
from nanosmith.predict.record_layout import Layout
from nanosmith.predict.record_reader import Reader
from nanosmith.recipes.parts.record_rows import RecordSamples, RowMaker, groups_of, layout_of, units_of


def samples(*given: tuple[str, list[tuple[str, int, int]]], unlocated: tuple[str, ...] = ()) -> RecordSamples:
    wanted = [AlignedExample(tuple(spans), (), (), unlocated, 1.0) for _, spans in given]
    texts = [text for text, _ in given]
    return RecordSamples(texts, [(0, len(text)) for text in texts], wanted, ["{}"] * len(texts))


@pytest.fixture
def tokenizer(base_folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(base_folder / "tokenizer.json"))


def test_overlapping_labels_have_groups_of_their_own() -> None:
    """Labels that overlap anywhere are apart, in as few groups as that takes."""
    given = samples(("0123456789", [("a", 0, 5), ("b", 3, 6), ("c", 6, 8)]), ("0123456789", [("b", 0, 1), ("d", 0, 1)]))
    groups = groups_of(given, ["a", "b", "c", "d"])
    assert len(groups) == 2
    assert not any({"b", foe} <= set(group) for group in groups for foe in "ad")


def test_words_are_kept_to_where_spans_do(tokenizer: Tokenizer) -> None:
    """Spans that begin inside of words make the pieces the units."""
    assert layout_of(tokenizer, samples(("order 12", [("n", 6, 8)])), ["n"], 64).whole_words
    assert not layout_of(tokenizer, samples(("order 12", [("n", 7, 8)])), ["n"], 64).whole_words


def test_units_of_a_span() -> None:
    """A span has all units that it touches."""
    units = [(0, 4), (5, 9), (10, 12)]
    assert units_of(units, 5, 12) == (1, 3)
    assert units_of(units, 6, 7) == (1, 2)
    assert units_of(units, 4, 5) is None


def test_rows_of_a_long_text(tokenizer: Tokenizer) -> None:
    """Windows share what they read, and each unit is wanted of one of them."""
    text = "order " * 100 + "12"
    layout = Layout((("n",),), 64, True)
    rows = RowMaker(Reader(tokenizer, layout), layout).rows(samples((text, [("n", 600, 602)])), 0)
    assert len(rows) == 3
    assert sum(len(row.places) for row in rows) == 101
    assert all(len(row.ids) == len(row.codes) <= 64 for row in rows)
    assert [row.tags.ravel().nonzero()[0].tolist() for row in rows[:-1]] == [[], []]
    assert rows[-1].tags[-1].tolist() == [1]


def test_unlocated_fields_are_told(tokenizer: Tokenizer) -> None:
    """Tags of a field whose value was not found are unknown."""
    layout = Layout((("m", "n"),), 64, True)
    given = samples(("order 12", []), unlocated=("n",))
    (row,) = RowMaker(Reader(tokenizer, layout), layout).rows(given, 0)
    assert row.unknown == ((0, 1),)
