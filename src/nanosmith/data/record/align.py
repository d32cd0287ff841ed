"""Where the answers of a record Dataset stand in its texts: what an encoder is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.record import Field, RecordForm
from nanosmith.data.dataset import Dataset
from nanosmith.data.record.columns import ABSENT, entities_of, is_missing
from nanosmith.data.record.locate import Place, Text
from nanosmith.data.record.occurrence import best_places, choose


class AlignedExample(msgspec.Struct, frozen=True):
    """`spans` are (name of the field or label of the entity, start, end), characters of the text, sorted by place.

    `classes` has one entry per `choice` field: an index into its `values`, len(values) where it is absent, None where
    the value is not known (no loss). `members` has one per `choices` field: indices into its `values`. `unlocated` are
    the span fields whose value is not in the text (no loss). `weight` in [0, 1] scales the loss.
    """

    spans: tuple[tuple[str, int, int], ...]
    classes: tuple[int | None, ...]
    members: tuple[tuple[int, ...], ...]
    unlocated: tuple[str, ...]
    weight: float


class Aligned(msgspec.Struct, frozen=True):
    """`texts` are what the encoder reads (N)."""

    form: RecordForm
    texts: list[str]
    examples: list[AlignedExample]


def align(dataset: Dataset) -> Aligned:
    """Locate all values of a Dataset of kind record. Raises InputError for another kind."""
    form = dataset.task.record
    if form is None:
        raise InputError("this is no data set of records", got=dataset.task.kind, allowed="record")
    contents = [msgspec.json.decode(str(value)) for value in dataset.values]
    texts = [Text(text) for text in dataset.texts]
    copied = {
        field.name: located(field, [value_of(content, field.path) for content in contents], texts)
        for field in form.fields if field.type in ("span", "spans")
    }  # fmt: skip
    examples = []
    for i, (example, content) in enumerate(zip(dataset.examples, contents)):
        spans = [(name, *place) for name, found in copied.items() for place in found[i] or ()]
        if form.entities:
            spans += _entities(content, dataset.task.turn_start(example.messages))
        examples.append(
            AlignedExample(
                tuple(sorted(spans, key=lambda span: (*span[1:], span[0]))),
                tuple(_class_of(field, content) for field in form.fields if field.type == "choice"),
                tuple(_members_of(field, content) for field in form.fields if field.type == "choices"),
                tuple(name for name, found in copied.items() if found[i] is None),
                example.weight,
            )
        )
    return Aligned(form, dataset.texts, examples)


def located(field: Field, values: Sequence[Any], texts: Sequence[Text]) -> list[tuple[Place, ...] | None]:
    """For each example the places of a span field's value: none where it is missing, None where it is not in the
    text, or where a part of a list is not."""
    items = [[] if is_missing(value) else value if isinstance(value, list) else [value] for value in values]
    whose = [i for i, found in enumerate(items) for _ in found]
    flat = [item for found in items for item in found]
    candidates = [best_places(item, texts[i], field.normal) for i, item in zip(whose, flat)]
    if field.type == "spans":
        _apart(candidates, flat, whose)
    chosen = choose(candidates, [texts[i] for i in whose])
    places: list[list[Place | None]] = [[] for _ in items]
    for i, place in zip(whose, chosen):
        places[i].append(place)
    return [None if None in found else tuple(place for place in found if place) for found in places]


def value_of(content: Any, path: Sequence[str]) -> Any:
    """The value at these keys, ABSENT where there is none."""
    for key in path:
        if not isinstance(content, dict) or key not in content:
            return ABSENT
        content = content[key]
    return content


def _apart(candidates: list[list[Place]], items: Sequence[Any], whose: Sequence[int]) -> None:
    """Equal items of one list stand at different places, in their order, where there are so many."""
    counts, met = Counter(zip(whose, items)), Counter[tuple[int, Any]]()
    for n, key in enumerate(zip(whose, items)):
        if counts[key] > 1:
            candidates[n] = candidates[n][met[key] : met[key] + 1] or candidates[n][:1]
            met[key] += 1


def _entities(content: dict[str, Any], shift: int) -> list[tuple[str, int, int]]:
    return [(one["label"], one["start"] + shift, one["end"] + shift) for one in entities_of(content)]


def _class_of(field: Field, content: dict[str, Any]) -> int | None:
    value = value_of(content, field.path)
    return len(field.values) if value is ABSENT else _index(field, value)


def _members_of(field: Field, content: dict[str, Any]) -> tuple[int, ...]:
    value = value_of(content, field.path)
    found = [_index(field, item) for item in value] if isinstance(value, list) else []
    return tuple(sorted({i for i in found if i is not None}))


def _index(field: Field, value: Any) -> int | None:
    text = msgspec.json.encode(value).decode()
    return field.values.index(text) if text in field.values else None
