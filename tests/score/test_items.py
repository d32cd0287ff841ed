"""Records as items that can be compared."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from nanosmith.core.record import Field, RecordForm
from nanosmith.score.items import columns_of, record_key

FORM = RecordForm((Field(("a", "b"), "spans"), Field(("c",), "choice")), ("city",))


def entity(label: str, start: int, end: int) -> dict[str, Any]:
    return {"label": label, "start": start, "end": end, "text": "x"}


ANN, BONN = entity("who", 0, 3), entity("city", 4, 8)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}, True), ({"a": True}, {"a": 1}, False), ({"a": None}, {}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False), ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, True),
        ({"entities": [ANN, BONN]}, {"entities": [BONN, ANN]}, True), ({"a": "1"}, {"a": 1}, False),
        ({"entities": [ANN]}, {"entities": [BONN]}, False),
    ],
)  # fmt: skip
def test_equal_records(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    """Equal as JSON; the order of keys and of entities does not count."""
    assert (record_key(one) == record_key(other)) is same


def test_the_order_of_choices_does_not_count() -> None:
    """Values chosen from a closed set are a set; copies are a list."""
    form = RecordForm((Field(("a", "b"), "choices"), Field(("c",), "spans")))
    one, other = {"a": {"b": ["x", "y"]}, "c": ["x", "y"]}, {"a": {"b": ["y", "x"]}, "c": ["x", "y"]}
    assert record_key(one, form) == record_key(other, form)
    assert record_key(one) != record_key(other)
    assert record_key(one, form) != record_key(other | {"c": ["y", "x"]}, form)
    assert record_key({"a": None}, form) != record_key({"a": {"b": []}}, form)


def test_items() -> None:
    """A value is an item, each part of a list is one, nothing is none; entities are places."""
    record = {"a": {"b": ["x", "y", "x"]}, "c": False, "entities": [entity("city", 0, 4), entity("sea", 5, 6)]}
    columns = {column.name: column for column in columns_of(FORM, [record])}
    assert list(columns) == ["a.b", "c", "city", "sea"]
    assert columns["a.b"].items(record) == Counter({'"x"': 2, '"y"': 1})
    assert columns["c"].items(record) == Counter({"false": 1})
    assert columns["city"].items(record) == Counter({"0:4": 1})
    for empty in ({}, {"a": None}, {"a": {"b": []}}, {"a": {"b": ""}}, {"a": 3}):
        assert not columns["a.b"].items(empty)
