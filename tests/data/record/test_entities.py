"""Entities with offsets, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.data.reading import BadLine
from nanosmith.data.record.entities import checked_entities, nested

TEXT = "Zoë flies to Rome from Rome"


def entity(start: Any, end: Any, text: Any = None, label: Any = "city") -> dict[str, Any]:
    return {"label": label, "start": start, "end": end, **({} if text is None else {"text": text})}


def test_sound_entities() -> None:
    """They are sorted by place, and a text that is left out is taken from its span."""
    found = checked_entities([entity(23, 27), entity(0, 3, "Zoë", "name"), entity(13, 17, "Rome")], TEXT)
    assert [(one["start"], one["text"]) for one in found] == [(0, "Zoë"), (13, "Rome"), (23, "Rome")]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ({}, "bad_entities", "an object"),
        (["Rome"], "bad_entities", "entity 1 is a string"),
        ([entity(13, 17, label=None)], "bad_entity_label", "null"),
        ([entity(13, 17, label=7)], "bad_entity_label", "a number"),
        ([entity(13, 17, label=" ")], "bad_entity_label", "empty"),
        ([entity("13", 17)], "bad_entities", "`start` is a string"),
        ([entity(-1, 17)], "bad_entities", "`start` is -1"),
        ([entity(13, True)], "bad_entities", "`end` is True"),
        ([{"label": "city"}], "bad_entities", "`start` is missing"),
        ([entity(13, 13)], "empty_span", "[13, 13)"),
        ([entity(17, 13)], "span_outside", "[17, 13)"),
        ([entity(23, 28)], "span_outside", "27 characters"),
        ([entity(12, 16, "Rome")], "span_text", 'at [12, 16) stands "Rom", not "Rome"'),
        ([entity(13, 17), entity(13, 17)], "overlapping_entities", "overlap"),
        ([entity(13, 17), entity(16, 22)], "overlapping_entities", "overlap"),
        ([entity(4, 17, label="trip"), entity(13, 22)], "overlapping_entities", "neither is inside"),
    ],
)
def test_bad_entities(content: Any, code: str, said: str) -> None:
    """Each is an error that says what was found."""
    with pytest.raises(BadLine) as caught:
        checked_entities(content, TEXT)
    assert caught.value.code == code
    assert said in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "place", "remedy"),
    [
        (entity(12, 16, "Rome"), ", which stands at [13, 17)", "Count characters"),
        (entity(14, 18, "Rome"), ", which stands at [13, 17)", "The offsets count bytes. Count"),
        (entity(21, 25, "Rome"), ", which stands at [23, 27)", "Count characters"),
        (entity(14, 18, "rome"), 'not "rome"', "nowhere in the text"),
        (entity(13, 17, 7), "not a number", "leave it out"),
    ],
)
def test_where_it_stands(wrong: dict[str, Any], place: str, remedy: str) -> None:
    """The message ends with the nearest place of the text; the remedy is the same for all entities."""
    with pytest.raises(BadLine) as caught:
        checked_entities([wrong], TEXT)
    assert caught.value.message.endswith(place)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "start", "code", "unit"),
    [
        ("🚀 to Rome and back", 8, "span_text", "bytes"),
        ("🚀 to Rome and back", 6, "span_text", "UTF-16 units"),
        ("🚀 to Rome", 8, "span_outside", "bytes"),
        ("🚀 to Rome", 6, "span_outside", "UTF-16 units"),
    ],
)
def test_offsets_in_other_units(text: str, start: int, code: str, unit: str) -> None:
    """Offsets that count bytes or UTF-16 units are recognised, also where they end behind the text."""
    with pytest.raises(BadLine) as caught:
        checked_entities([entity(start, start + 4, "Rome")], text)
    assert caught.value.code == code
    assert caught.value.remedy.startswith(f"The offsets count {unit}. ")


def test_nested() -> None:
    """An entity may be inside of one with another label; the first such pair is told."""
    inner = checked_entities([entity(4, 17, label="trip"), entity(13, 17)], TEXT)
    assert nested(inner) == '"flies to Rome" at [4, 17) (trip) and "Rome" at [13, 17) (city)'
    assert nested(inner[1:]) is None
