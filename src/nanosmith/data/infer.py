"""Task recognition: from the assistant's answers to a kind of task, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from nanosmith.core.task import AnswerForm, Kind
from nanosmith.data.closed import is_closed
from nanosmith.data.problem import shown
from nanosmith.data.shapes import (
    PLAIN,
    SEPARATORS,
    Shape,
    common_shape,
    is_number,
    parts_of,
    separator_of,
    shape_of,
    written,
)


class Recognition(msgspec.Struct, frozen=True):
    """What answers are, how they are written, and the sentences that say why."""

    kind: Kind
    why: tuple[str, ...]
    form: AnswerForm = "plain"
    field: str | None = None
    separator: str | None = None


def recognise(answers: Sequence[str], kind: Kind | None = None) -> Recognition:
    """The task that `answers` (at least one) belong to; `kind` overrides what would be recognised."""
    counts = Counter(answer.strip() for answer in answers)
    shape = common_shape(counts)
    if kind is None:
        return _RECOGNISERS[shape.form](counts, shape)
    if kind == "choice":
        return _as_choice(counts, shape, forced=True)
    if kind == "labels":
        return _as_labels(counts, shape, forced=True)
    return Recognition(kind, ("The kind was given, not recognised.",))


def _from_plain(counts: Counter[str], shape: Shape) -> Recognition:
    separator = separator_of(counts)
    if separator is not None:
        return _separated(counts, separator, forced=False)
    if is_closed(counts):
        return _as_choice(counts, shape)
    return Recognition("text", (_free_text(counts),))


def _from_string_field(counts: Counter[str], shape: Shape) -> Recognition:
    if is_closed(_contents(counts, shape)):
        return _as_choice(counts, shape)
    why = f"The answers are JSON objects with one field, {shape.field!r}, whose values are not a closed set."
    return Recognition("record", (why,))


def _from_list(counts: Counter[str], shape: Shape) -> Recognition:
    contents = _contents(counts, shape)
    if contents and is_closed(contents):
        return _as_labels(counts, shape)
    return Recognition("record", ("The answers are JSON lists whose entries are not a closed set.",))


def _from_object(counts: Counter[str], _: Shape) -> Recognition:
    why = f"The answers are JSON with several fields, or with values that are not text, such as {_shown(counts)}."
    return Recognition("record", (why,))


_RECOGNISERS = {
    "plain": _from_plain,
    "string_field": _from_string_field,
    "list_field": _from_list,
    "list": _from_list,
    "object": _from_object,
}


def _as_choice(counts: Counter[str], shape: Shape, *, forced: bool = False) -> Recognition:
    if shape.form != "string_field":
        shape = PLAIN
    contents = _contents(counts, shape)
    sentences = [_one_of(contents)]
    if shape.field is not None:
        sentences.append(f"Each answer is a JSON object with the field {shape.field!r}.")
    if all(is_number(label) for label in contents):
        sentences.append("The answers are numbers; each is a label of its own, their order is not used.")
    if forced:
        sentences.append("The kind was given, not recognised.")
    return Recognition("choice", tuple(sentences), "plain" if shape.field is None else "json_field", shape.field)


def _as_labels(counts: Counter[str], shape: Shape, *, forced: bool = False) -> Recognition:
    if shape.form not in ("list", "list_field"):
        return _separated(counts, separator_of(counts) or _likely_separator(counts), forced=forced)
    sentences = [_sets_of(_contents(counts, shape), counts.total())]
    what = "list" if shape.field is None else f"object whose field {shape.field!r} holds a list"
    sentences.append(f"Each answer is a JSON {what}.")
    if forced:
        sentences.append("The kind was given, not recognised.")
    return Recognition("labels", tuple(sentences), "json_list" if shape.field is None else "json_field", shape.field)


def _separated(counts: Counter[str], separator: str, *, forced: bool) -> Recognition:
    parts: Counter[str] = Counter()
    for answer, count in counts.items():
        for part in parts_of(answer, separator.strip(" ")):
            parts[part] += count
    joined = sum(count for answer, count in counts.items() if len(parts_of(answer, separator.strip(" "))) > 1)
    why = f"{joined:,} answers hold several labels, separated by {separator!r}."
    if forced:
        why += " The kind was given, not recognised."
    return Recognition("labels", (_sets_of(parts, counts.total()), why), "separated", None, separator)


def _likely_separator(counts: Counter[str]) -> str:
    """The separator that occurs in most answers, the comma where none does."""
    uses = {mark: sum(n for answer, n in counts.items() if mark in answer) for mark in reversed(SEPARATORS)}
    mark = max(uses, key=lambda mark: uses[mark])
    return written(mark, counts) if uses[mark] else ", "


def _contents(counts: Mapping[str, int], shape: Shape) -> Counter[str]:
    """How often each label occurs, in the answers that have this shape."""
    contents: Counter[str] = Counter()
    for answer, count in counts.items():
        if shape == PLAIN:
            contents[answer] += count
        elif shape_of(answer) == shape:
            content = msgspec.json.decode(answer)
            value = content if shape.field is None else content[shape.field]
            for label in value if isinstance(value, list) else [value]:
                contents[label.strip()] += count
    return contents


def _one_of(contents: Counter[str]) -> str:
    total = contents.total()
    ranked = contents.most_common()
    if len(ranked) == 1:
        return f"All {total:,} answers are {shown(ranked[0][0])}."
    (most, most_count), (least, least_count) = ranked[0], ranked[-1]
    return (
        f"All {total:,} answers are one of {len(ranked):,} strings; the most frequent is {shown(most)} "
        f"({most_count:,} times), the least frequent {shown(least)} ({least_count:,})."
    )


def _sets_of(parts: Counter[str], total: int) -> str:
    if not parts:
        return f"All {total:,} answers are sets without a label."
    most, count = parts.most_common(1)[0]
    return (
        f"All {total:,} answers are sets drawn from {len(parts):,} labels; the most frequent is {shown(most)} "
        f"({count:,} times); on average {parts.total() / total:.1f} labels per answer."
    )


def _free_text(counts: Counter[str]) -> str:
    total, once = counts.total(), sum(1 for count in counts.values() if count == 1)
    return (
        f"{total:,} answers are {len(counts):,} different texts, {once:,} of them seen once, such as {_shown(counts)}: "
        "no closed set of labels."
    )


def _shown(counts: Mapping[str, int]) -> str:
    return shown(next(iter(counts)))
