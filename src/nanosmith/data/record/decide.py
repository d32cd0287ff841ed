"""What each field of a record is: chosen from a closed set, or copied from the text.

A wrong decision costs answers: a choice cannot answer a value it has not seen, a copy none that is not in the text. So
the share of values that were seen rarely is weighed against the share that is not found in the texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from nanosmith.core.limits import MAX_LABELS
from nanosmith.core.record import Field, FieldType, Missing
from nanosmith.data.closed import is_closed
from nanosmith.data.record.columns import ABSENT, Column, Unlike, is_missing
from nanosmith.data.record.locate import Text
from nanosmith.data.record.normals import Fit, best_normal

RARE = 5  # a value that occurs less often is too rare to be learnt as a class
FEW_VALUES = 10  # up to so many, each of them seen often, are a choice, though they stand in the texts
COPIED = 0.5  # share of the values that must be made of what stands in the texts, where they are copied
LISTED = 0.95  # share of the lists' items that must stand in the texts, and of the lists that must be in their order
RARELY_THERE = 0.05  # share of the examples up to which a field that is neither does not decide about the whole task


class Decision(msgspec.Struct, frozen=True):
    """A field and why; `open` says that its values are neither a closed set nor found in the texts."""

    field: Field
    why: str
    open: bool = False


def decide(column: Column, texts: Sequence[Text], *, is_open: bool = False) -> Decision:
    """The field of these values. `is_open`: other values are expected, so that they are copied where they can be.
    Raises Unlike where no field could have them."""
    present = [(value, text) for value, text in zip(column.values, texts) if not is_missing(value)]
    lists = sum(isinstance(value, list) for value, _ in present)
    if lists not in (0, len(present)):
        raise Unlike(f"the field {column.name!r} is a list in some answers, and none in others")
    scalars = [(item, text) for value, text in present for item in (value if isinstance(value, list) else [value])]
    _check_scalars(column, [value for value, _ in scalars])
    counts = Counter(_text(value) for value, _ in scalars)
    everywhere = {_text(value) for value in column.values if value is not ABSENT}
    if len(everywhere) == 1 and ABSENT not in column.values and not is_open:
        return Decision(Field(column.path, "constant", tuple(everywhere)), "always the same")
    if not counts or any(isinstance(value, bool) for value, _ in scalars):
        return _chosen(column, counts, lists > 0, "true or false")
    fit = best_normal([value for value, _ in scalars], [text for _, text in scalars])
    if is_open and fit.explained >= COPIED:
        return _copied(column, fit.normal, lists > 0, "the schema leaves its values open")
    if lists and fit.explained >= LISTED and _in_text_order(present, fit.normal):
        return _copied(column, fit.normal, True, "the lists follow the texts")
    return _weighed(column, counts, fit, lists > 0, len(present) / len(column.values))


def _in_text_order(present: Sequence[tuple[Any, Text]], normal: str) -> bool:
    """Whether most lists have their items in the order of the text, and not more of them in alphabetical order: a
    choice would lose it."""
    follows = sorts = longer = 0
    for items, text in present:
        places = [text.places(item, normal)[:1] for item in items]
        if len(items) < 2:
            continue
        longer += 1
        follows += places == sorted(places)
        sorts += list(map(_text, items)) == sorted(map(_text, items))
    return longer > 0 and follows >= LISTED * longer and follows > sorts


def _weighed(column: Column, counts: Counter[str], fit: Fit, many: bool, present: float) -> Decision:
    closed = _is_closed(counts)
    rare = sum(count for count in counts.values() if count < RARE) / counts.total()
    found = f"{100 * fit.located:.0f} % of its values stand in the text"
    if fit.explained >= COPIED:
        few = rare == 0 and len(counts) <= FEW_VALUES
        if not (closed and (few or rare < 1 - fit.explained)):
            return _copied(column, fit.normal, many, found)
        return _chosen(column, counts, many, f"{len(counts)} values that occur again and again")
    if closed or present <= RARELY_THERE:
        return _chosen(column, counts, many, f"one of {len(counts)} values" if closed else "too rare to be copied")
    made = f"{100 * fit.explained:.0f} % of its values can be made of what stands in the text"
    why = f"only {made}, and they are no closed set ({len(counts):,} different ones of {counts.total():,})"
    likely = _copied(column, fit.normal, many, why) if fit.located > 0 else _chosen(column, counts, many, why)
    return msgspec.structs.replace(likely, open=True)


def _chosen(column: Column, counts: Counter[str], many: bool, why: str) -> Decision:
    if many:
        return Decision(members_field(column, [value for value, _ in counts.most_common(MAX_LABELS)]), why)
    texts = Counter(_text(value) for value in column.values if value is not ABSENT)
    return Decision(chosen_field(column, (value for value, _ in texts.most_common(MAX_LABELS))), why)


def chosen_field(column: Column, values: Iterable[str]) -> Field:
    """The field that is one of these values (JSON texts); constant where there is but one."""
    texts = tuple(sorted(values))
    if len(texts) == 1 and ABSENT not in column.values:
        return Field(column.path, "constant", texts)
    return Field(column.path, "choice", texts, missing="absent" if ABSENT in column.values else None)


def members_field(column: Column, values: Iterable[str]) -> Field:
    """The field that is a list of some of these values (JSON texts), in the order that the examples' lists mostly have:
    the share of the others in a list before which a value stands."""
    before, others = Counter[str](), Counter[str]()
    for value in column.values:
        items = [_text(item) for item in value] if isinstance(value, list) else []
        for i, item in enumerate(items):
            before[item] += len(items) - 1 - i
            others[item] += len(items) - 1
    order = sorted(values, key=lambda value: (-before[value] / max(1, others[value]), value))
    missing = missing_of(column)
    return Field(column.path, "choices", tuple(order), missing=None if missing == "empty" else missing)


def _copied(column: Column, normal: str, many: bool, why: str) -> Decision:
    kind: FieldType = "spans" if many else "span"
    return Decision(Field(column.path, kind, normal=normal, missing=missing_of(column)), why)


def missing_of(column: Column) -> Missing | None:
    """What mostly stands where the value is missing; None where it never is."""
    counts = Counter(_missing(value) for value in column.values if is_missing(value))
    return counts.most_common(1)[0][0] if counts else None


def _missing(value: Any) -> Missing:
    return "absent" if value is ABSENT else "null" if value is None else "empty"


def _check_scalars(column: Column, values: Sequence[Any]) -> None:
    kinds = {_kind(value) for value in values if value is not None}
    if "object" in kinds:
        raise Unlike(f"the field {column.name!r} is a list of objects or lists")
    if len(kinds) > 1 and not _is_closed(Counter(map(_text, values))):
        raise Unlike(f"the field {column.name!r} has values of several types: {', '.join(sorted(kinds))}")


def _kind(value: Any) -> str:
    if isinstance(value, dict | list):
        return "object"
    return "text" if isinstance(value, str) else "true or false" if isinstance(value, bool) else "number"


def _is_closed(counts: Counter[str]) -> bool:
    """Whether values, as JSON texts, are a closed set; the quotes of texts aside."""
    return len(counts) <= MAX_LABELS and is_closed({_bare(text): count for text, count in counts.items()})


def _bare(text: str) -> str:
    return str(msgspec.json.decode(text)) if text.startswith('"') else text


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
