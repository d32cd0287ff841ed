"""From the scores of one text to a record: spans are found, normalised, and put together; each has a confidence.

Letters: U units, C tag columns of all groups, L choice columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from nanosmith.core.json_schema import resolve
from nanosmith.core.normal import normalise
from nanosmith.core.prediction import FieldAnswer
from nanosmith.core.record import ENTITIES, Field, Inner, RecordForm
from nanosmith.predict.record_layout import Confidences, Layout, Platt, choice_columns
from nanosmith.predict.tags import Floats, Span, absence, found_spans, likeliest

ENTITY = "entity"  # in the place of a field's type
NEXT_BEST = 0.1  # the least probability of a span that is taken in the place of one without a value
SURE = 1e-6  # probabilities are taken to be at least so far from 0 and 1


class Text(NamedTuple):
    """What was read: the text, the characters of its last user turn, and those of each unit (U)."""

    text: str
    turn: tuple[int, int]
    units: Sequence[tuple[int, int]]


class Answer(NamedTuple):
    """A record as it is written, its parts with their types and uncalibrated probabilities, and that of the whole."""

    value: str
    parts: tuple[FieldAnswer, ...]
    types: tuple[str, ...]
    probability: float


class _Part(NamedTuple):
    """One field's answer before calibration; `value` None and no `text` where it is missing."""

    value: Any
    probability: float
    spans: tuple[tuple[int, int], ...] = ()
    missing: bool = False


class _Group(NamedTuple):
    spans: list[Span]
    p: Floats


class Answerer:
    """Makes records of one form."""

    def __init__(self, form: RecordForm, layout: Layout) -> None:
        self._form, self._layout = form, layout
        self._tags, self._choices, self._places = layout.tag_columns, choice_columns(form), layout.places
        self._entities = frozenset(form.entities)
        self._values = {field.name: [msgspec.json.decode(one) for one in field.values] for field in form.fields}

    def answer(self, read: Text, tags: Floats, choices: Floats) -> Answer:
        """The record for tag logits (U, C) and choice logits (L) of a text."""
        groups = [_group(tags[:, columns]) for columns in self._tags]
        record: dict[str, Any] = {}
        parts: list[FieldAnswer] = []
        types: list[str] = []
        whole = 1.0
        for field in self._form.fields:
            part = self._part(field, read, groups, choices)
            if not part.missing:
                _put(record, field.path, part.value)
            elif field.missing != "absent":
                _put(record, field.path, _written_missing(field))
            parts.append(FieldAnswer(field.name, part.value, part.probability, part.spans))
            types.append(field.type)
            whole *= part.probability
        if self._entities:
            entities, sure = self._found_entities(read, groups)
            record[ENTITIES] = [one for one, _ in entities]
            parts += [FieldAnswer(one["label"], one["text"], p, ((one["start"], one["end"]),)) for one, p in entities]
            types += [ENTITY] * len(entities)
            whole *= sure
        _complete_objects(record, self._form.inner)
        _complete(record, self._form.schema, self._form.schema)
        return Answer(msgspec.json.encode(record).decode(), tuple(parts), tuple(types), whole)

    def calibrated(self, answer: Answer) -> tuple[tuple[FieldAnswer, ...], float | None]:
        """Fields with their confidences, and the record's; None where nothing was calibrated."""
        told = self._layout.confidences
        if not told.examples:
            return tuple(msgspec.structs.replace(part, confidence=None) for part in answer.parts), None
        parts = tuple(
            msgspec.structs.replace(part, confidence=confidence_of(told, kind, part.confidence or 0.0))
            for part, kind in zip(answer.parts, answer.types)
        )
        return parts, platt(told.record, answer.probability)

    def _part(self, field: Field, read: Text, groups: list[_Group], choices: Floats) -> _Part:
        if field.type == "constant":
            return _Part(self._values[field.name][0], 1.0)
        if field.type in ("choice", "choices"):
            return self._chosen(field, choices[self._choices[field.name]].tolist())
        group, label = self._places[field.name]
        if field.type == "spans":
            return _all_spans(field, read, groups[group], label)
        return _one_span(field, read, groups[group], label)

    def _chosen(self, field: Field, scores: list[float]) -> _Part:
        values = self._values[field.name]
        if field.type == "choice":
            highest = max(scores)
            best = scores.index(highest)
            p = 1 / sum(math.exp(score - highest) for score in scores)
            return _Part(values[best], p) if best < len(values) else _Part(None, p, missing=True)
        chosen = [value for value, score in zip(values, scores) if score > 0]
        p = math.prod(1 / (1 + math.exp(-min(500.0, abs(score)))) for score in scores)
        return _Part(chosen, p) if chosen or field.missing is None else _Part(None, p, missing=True)

    def _found_entities(self, read: Text, groups: list[_Group]) -> tuple[list[tuple[dict[str, Any], float]], float]:
        """Entities of the last user turn with their probabilities, by place, and that they are all right."""
        first, last = read.turn
        found, sure = [], 1.0
        for names, group in zip(self._layout.groups, groups):
            if self._entities.isdisjoint(names):
                continue
            sure *= _certainty(group)
            for span in group.spans:
                start, end = _chars(read, span)
                if names[span.label] in self._entities and first <= start < end <= last:
                    one = {"label": names[span.label], "start": start - first, "end": end - first,
                           "text": read.text[start:end]}  # fmt: skip
                    found.append((one, span.probability))
        return sorted(found, key=lambda pair: (pair[0]["start"], pair[0]["end"], pair[0]["label"])), sure


def platt(scale: Platt, probability: float) -> float:
    """The calibrated probability."""
    p = min(1 - SURE, max(SURE, probability))
    return 1 / (1 + math.exp(-scale.slope * math.log(p / (1 - p)) - scale.offset))


def confidence_of(told: Confidences, kind: str, probability: float) -> float:
    """The calibrated probability of a field of this type."""
    return platt(told.fields[kind], probability) if kind in told.fields else probability


def _group(logits: Floats) -> _Group:
    return _Group(*found_spans(logits)) if len(logits) else _Group([], logits)


def _certainty(group: _Group) -> float:
    """That all tags of a group are right, as if units were independent."""
    return float(np.exp(np.log(group.p.max(axis=1)).sum())) if len(group.p) else 1.0


def _chars(read: Text, span: Span) -> tuple[int, int]:
    """The characters of a span, without white space at its ends."""
    start, end = read.units[span.start][0], read.units[span.end - 1][1]
    inner = read.text[start:end]
    return start + len(inner) - len(inner.lstrip()), end - (len(inner) - len(inner.rstrip()))


def _normalised(field: Field, read: Text, spans: Sequence[Span]) -> Iterator[tuple[Any, Span, tuple[int, int]]]:
    """The spans that have a value, with it and their characters."""
    for span in spans:
        start, end = _chars(read, span)
        value = normalise(field.normal, read.text[start:end]) if start < end else None
        if value is not None:
            yield msgspec.json.decode(value), span, (start, end)


def _one_span(field: Field, read: Text, group: _Group, label: int) -> _Part:
    """The likeliest span that has a value, unless it is likelier that the field is missing. Where a likelier span had
    no value, another one must still be likely by itself."""
    if not len(group.p):
        return _nothing(field, 1.0)
    none, spans = absence(group.p, label), likeliest(group.p, label)
    for value, span, place in _normalised(field, read, spans):
        if field.missing is not None and span.probability < (none if span is spans[0] else max(none, NEXT_BEST)):
            break
        return _Part(value, span.probability, (place,))
    return _nothing(field, none)


def _all_spans(field: Field, read: Text, group: _Group, label: int) -> _Part:
    """The different values of all spans that were found, in order."""
    own = [span for span in group.spans if span.label == label]
    values: list[Any] = []
    places: list[tuple[int, int]] = []
    p = 1.0 if own or not len(group.p) else absence(group.p, label)
    for value, span, place in _normalised(field, read, own):
        p *= span.probability
        if value not in values:
            values.append(value)
            places.append(place)
    return _Part(values, p, tuple(places)) if values or field.missing is None else _Part(None, p, missing=True)


def _nothing(field: Field, p: float) -> _Part:
    """A missing field; where it must have a value, the emptiest one."""
    if field.missing is not None:
        return _Part(None, p, missing=True)
    value = normalise(field.normal, "") or normalise(field.normal, "0")
    return _Part("" if value is None else msgspec.json.decode(value), 0.0)


def _written_missing(field: Field) -> Any:
    if field.missing == "null":
        return None
    return [] if field.type in ("spans", "choices") else ""


def _put(record: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        record = record.setdefault(key, {})
    record[path[-1]] = value


def _complete_objects(record: dict[str, Any], inner: Sequence[Inner]) -> None:
    """Null or an empty object where all fields of an object are absent, as in the examples."""
    for one in inner:
        around: Any = record
        for key in one.path[:-1]:
            around = around.get(key) if isinstance(around, dict) else None
        if isinstance(around, dict):
            around.setdefault(one.path[-1], None if one.missing == "null" else {})


def _complete(record: dict[str, Any], schema: Any, root: Any) -> None:
    """Objects that must be there although all their fields are absent."""
    for key, part in schema.get("properties", {}).items():
        inner = resolve(part["$ref"], root) if isinstance(part, dict) and "$ref" in part else part
        if isinstance(inner, dict) and "properties" in inner:
            if key in schema.get("required", ()):
                record.setdefault(key, {})
            if isinstance(record.get(key), dict):
                _complete(record[key], inner, root)
