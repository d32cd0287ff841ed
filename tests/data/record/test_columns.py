"""Answers, field by field."""

from __future__ import annotations

import pytest

from nanosmith.core.record import Inner
from nanosmith.data.record.columns import ABSENT, MAX_FIELDS, Unlike, columns, inner_objects


def test_nested_and_optional_fields() -> None:
    """Fields have paths; what an answer lacks is absent; the order is that of the answers."""
    found = columns([{"a": 1, "c": {"x": True}}, {"a": 2, "b": [1], "c": {"x": None, "y": ""}}])
    assert [(column.name, column.values) for column in found] == [
        ("a", [1, 2]), ("b", [ABSENT, [1]]), ("c.x", [True, None]), ("c.y", [ABSENT, ""]),
    ]  # fmt: skip
    assert [column.present() for column in found] == [[1, 2], [[1]], [True], []]


def test_a_missing_object() -> None:
    """An object that is null or empty elsewhere has none of its fields there."""
    found = columns([{"a": {"x": 1}}, {"a": None}, {"a": {}}, {}])
    assert [(column.name, column.values) for column in found] == [("a.x", [1, ABSENT, ABSENT, ABSENT])]


def test_what_stands_for_a_missing_object() -> None:
    """Null, an empty object or nothing, whichever there is most."""
    full = {"a": {"x": 1, "b": {"y": 1}}, "z": None}
    assert inner_objects([full, {"a": None, "z": None}]) == (Inner(("a",), "null"),)
    assert inner_objects([full, {"a": {}}, {"a": {}}, {"a": None}]) == (Inner(("a",), "empty"),)
    assert inner_objects([full, {}, {"a": None}, {}]) == ()
    assert inner_objects([full, {"a": {"x": 1, "b": None}}, {"a": {"b": None}}]) == (Inner(("a", "b"), "null"),)
    assert inner_objects([full, full]) == ()


def test_answers_that_are_unlike() -> None:
    """A field that is an object here and a text there is no field, and keys that are data are too many."""
    with pytest.raises(Unlike, match="'a' is an object in some answers"):
        columns([{"a": {"x": 1}}, {"a": "text"}])
    deep: dict[str, object] = {"a": 1}
    for _ in range(900):
        deep = {"a": deep}
    with pytest.raises(Unlike, match="nested deeper"):
        columns([deep])
    with pytest.raises(Unlike, match=r"two fields are called 'a\.b'"):
        columns([{"a.b": 1, "a": {"b": 2}}])
    with pytest.raises(Unlike, match="the keys are data"):
        columns([{f"key {i}": 1} for i in range(MAX_FIELDS + 1)])


def test_entities_are_no_field() -> None:
    """A list of entities with offsets stands aside; a list of another sort is a field."""
    assert columns([{"entities": [{"label": "a", "start": 0, "end": 1}]}, {"entities": []}]) == []
    assert [column.name for column in columns([{"entities": ["a"]}])] == ["entities"]
    assert [column.values for column in columns([{"entities": ["a"]}, {"entities": []}])] == [[["a"], []]]
    assert columns([{"entities": [{"label": "a", "start": 0, "end": 1}]}, {"entities": None}]) == []
