"""How answers are written: as plain text or as JSON of some shape, and as parts joined by a separator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from nanosmith.data.closed import is_closed, look_like_labels

Form: TypeAlias = Literal["plain", "string_field", "list_field", "list", "object"]
SEPARATORS = ("\n", ";", "|", ",")
MOST = 0.95  # share of answers that must have one shape; the others are then errors of their lines
JSON_SHARE = 0.8  # share of answers that must be JSON, where they do not agree in shape
REUSED = 0.7  # share of the parts of joined answers that must occur in another answer too; all, if only one is joined


class Shape(NamedTuple):
    """`list`: a JSON list of strings; `object`: any other JSON object or list; `field` names the only key."""

    form: Form
    field: str | None = None


PLAIN = Shape("plain")
OBJECT = Shape("object")


def shape_of(answer: str) -> Shape:
    """The shape of one answer."""
    if not answer.startswith(("{", "[")):
        return PLAIN
    try:
        content = msgspec.json.decode(answer)
    except (msgspec.DecodeError, RecursionError):
        return PLAIN
    if isinstance(content, list):
        return Shape("list") if _are_strings(content) else OBJECT
    if len(content) != 1:
        return OBJECT
    field, value = next(iter(content.items()))
    if isinstance(value, str):
        return Shape("string_field", field)
    return Shape("list_field", field) if isinstance(value, list) and _are_strings(value) else OBJECT


def common_shape(counts: Mapping[str, int]) -> Shape:
    """The shape that nearly all answers have; `object` where they are JSON without one shape, else `plain`."""
    shapes: Counter[Shape] = Counter()
    for answer, count in counts.items():
        shapes[shape_of(answer)] += count
    shape, count = shapes.most_common(1)[0]
    total = shapes.total()
    if count >= MOST * total:
        return shape
    return OBJECT if total - shapes[PLAIN] >= JSON_SHARE * total else PLAIN


def parts_of(answer: str, separator: str) -> list[str]:
    return [part.strip() for part in answer.split(separator) if part.strip()]


def separator_of(counts: Mapping[str, int]) -> str | None:
    """The separator, as mostly written, with which answers are sets drawn from a closed set; None: they are not.

    "Books, films" may be one label with a comma. So the parts must recombine: nearly all parts of joined answers occur
    in other answers too. Where whole answers are a closed set themselves, the number or the places of the parts must
    vary as well; otherwise "Sales, EU" and "Support, EU" would be taken apart. Decimal commas separate nothing.
    """
    for separator in SEPARATORS:
        answers = {answer: parts_of(answer, separator) for answer in counts}
        if _recombine(answers, counts):
            return written(separator, counts)
    return None


def written(separator: str, counts: Mapping[str, int]) -> str:
    """The separator with the spaces around it that most joined answers have."""
    variants = (f" {separator} ", f"{separator} ", separator)
    uses: Counter[str] = Counter()
    for answer, count in counts.items():
        if separator in answer:
            uses[next(variant for variant in variants if variant in answer)] += count
    return uses.most_common(1)[0][0] if uses else separator


def _recombine(answers: Mapping[str, list[str]], counts: Mapping[str, int]) -> bool:
    joined = {answer: parts for answer, parts in answers.items() if len(parts) > 1}
    if not joined or all(is_number(answer.replace(",", ".")) for answer in joined):
        return False
    part_counts: Counter[str] = Counter()
    answers_with: Counter[str] = Counter()
    for answer, parts in answers.items():
        answers_with.update(set(parts))
        for part in parts:
            part_counts[part] += counts[answer]
    used = [part for parts in joined.values() for part in parts]
    needed = REUSED if len(joined) > 1 else 1.0
    if sum(answers_with[part] > 1 for part in used) < needed * len(used):
        return False
    if not look_like_labels(part_counts) or not is_closed(part_counts):
        return False
    return _vary(answers) or not is_closed(counts)


def _vary(answers: Mapping[str, list[str]]) -> bool:
    """Whether answers differ in the number of their parts, or a part stands at different places."""
    if len({len(parts) for parts in answers.values()}) > 1:
        return True
    places = {(i, part) for parts in answers.values() for i, part in enumerate(parts)}
    return len(places) > len({part for _, part in places})


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _are_strings(values: list[object]) -> bool:
    return all(isinstance(value, str) for value in values)
