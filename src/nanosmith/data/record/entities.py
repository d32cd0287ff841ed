"""Entities with offsets: the checks of one text's list."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from nanosmith.data.problem import shown
from nanosmith.data.reading import BadLine, json_type

SHAPE = 'Write {"label": "city", "start": 0, "end": 5, "text": "Paris"}; `end` is the character after the last.'
COUNT = "Count characters (Unicode code points) from 0; `end` is the character after the last."
UNITS = {"utf-8": "bytes", "utf-16-le": "UTF-16 units"}
"""What offsets count by mistake, and the encoding in which they do."""


def checked_entities(content: object, text: str) -> list[dict[str, Any]]:
    """The entities of a text, sorted by place, each as {"label", "start", "end", "text"}. Raises BadLine."""
    if not isinstance(content, list):
        raise BadLine("bad_entities", f"`entities` is {json_type(content)}", "Write a list; an empty one: [].")
    found = [_checked(entity, text, f"entity {i}") for i, entity in enumerate(content, start=1)]
    found.sort(key=lambda entity: (entity["start"], entity["end"], entity["label"]))
    for label in {entity["label"] for entity in found}:
        of_label = [entity for entity in found if entity["label"] == label]
        for one, other in pairwise(of_label):
            if other["start"] < one["end"]:
                message = f"two entities with the label {shown(label)} overlap: {_place(one)} and {_place(other)}"
                raise BadLine("overlapping_entities", message, "Keep one of them.")
    if (two := _crossing(found)) is not None:
        message = f"two entities overlap, and neither is inside of the other: {_place(two[0])} and {_place(two[1])}"
        raise BadLine("overlapping_entities", message, f"Put their borders right, or keep one of them. {COUNT}")
    return found


def _crossing(entities: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Two entities of which each has characters that the other has not, beside some that both have."""
    around: list[dict[str, Any]] = []  # each inside of the one before
    for entity in sorted(entities, key=lambda one: (one["start"], -one["end"])):
        while around and around[-1]["end"] <= entity["start"]:
            around.pop()
        if around and around[-1]["end"] < entity["end"]:
            return around[-1], entity
        around.append(entity)
    return None


def nested(entities: list[dict[str, Any]]) -> str | None:
    """The first two of (sorted) entities of which one is inside of the other; None where there are none."""
    for one, other in pairwise(entities):  # sorted by start: where any overlaps, the next one does
        if other["start"] < one["end"]:
            return f"{_place(one)} and {_place(other)}"
    return None


def _checked(entity: object, text: str, where: str) -> dict[str, Any]:
    if not isinstance(entity, dict):
        raise BadLine("bad_entities", f"{where} is {json_type(entity)}", SHAPE)
    label = entity.get("label")
    if not isinstance(label, str) or not label.strip():
        got = "empty" if isinstance(label, str) else json_type(label) if "label" in entity else "missing"
        raise BadLine("bad_entity_label", f"{where}: `label` is {got}", "Write a name as a string.")
    start, end = (_offset(entity, key, where) for key in ("start", "end"))
    if start == end:
        raise BadLine("empty_span", f"{where}: the span [{start}, {end}) is empty", COUNT)
    if not start < end <= len(text):
        message = f"{where}: the span [{start}, {end}) is not in the text, which has {len(text):,} characters"
        raise BadLine("span_outside", message, _unit(entity.get("text"), text, start, end) + COUNT)
    wanted = entity.get("text", text[start:end])
    if wanted != text[start:end]:
        got = shown(wanted) if isinstance(wanted, str) else json_type(wanted)
        place, remedy = _place_and_remedy(wanted, text, start, end)
        message = f"{where}: at [{start}, {end}) stands {shown(text[start:end])}, not {got}{place}"
        raise BadLine("span_text", message, remedy)
    return {"label": label.strip(), "start": start, "end": end, "text": wanted}


def _offset(entity: dict[str, Any], key: str, where: str) -> int:
    value = entity.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        got = f"{value}" if isinstance(value, int | float) else json_type(value) if key in entity else "missing"
        raise BadLine("bad_entities", f"{where}: `{key}` is {got}, no offset", f"Write a whole number. {COUNT}")
    return value


def _place_and_remedy(wanted: object, text: str, start: int, end: int) -> tuple[str, str]:
    """Where the wanted text stands nearest, as the end of a message; and what to do."""
    if not isinstance(wanted, str) or not wanted:
        return "", "Write the characters of the span as `text`, or leave it out."
    places = [i for i in range(len(text) - len(wanted) + 1) if text.startswith(wanted, i)]
    if not places:
        return "", "It is nowhere in the text: write the entity as it stands there."
    nearest = min(places, key=lambda i: abs(i - start))
    remedy = _unit(wanted, text, start, end) + COUNT
    return f", which stands at [{nearest}, {nearest + len(wanted)})", remedy


def _unit(wanted: object, text: str, start: int, end: int) -> str:
    """A sentence on what the offsets count instead of characters, empty where that is not known."""
    for encoding, name in UNITS.items():
        width = len("a".encode(encoding))
        piece = text.encode(encoding, "surrogatepass")[width * start : width * end]
        if isinstance(wanted, str) and piece and piece == wanted.encode(encoding, "surrogatepass"):
            return f"The offsets count {name}. "
    return ""


def _place(entity: dict[str, Any]) -> str:
    return f"{shown(entity['text'])} at [{entity['start']}, {entity['end']}) ({entity['label']})"
