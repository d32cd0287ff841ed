"""What a data set of records holds, field by field, and what of it cannot be learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from nanosmith.core.record import Field, RecordForm
from nanosmith.data.checks import listed, spelling_problems, warning
from nanosmith.data.dataset import Dataset
from nanosmith.data.problem import Problem, shown
from nanosmith.data.record.align import Aligned, align, value_of
from nanosmith.data.record.columns import entities_of, is_missing
from nanosmith.data.record.entities import nested
from nanosmith.data.record.locate import Text
from nanosmith.data.record.normals import explains

COPIED = ("span", "spans")
INSIDE = 0.1  # share of the entities that must cut words so that it is told


class FieldRow(msgspec.Struct, frozen=True):
    """One field: in how many examples it `has` a value; in how many the value is `unlocated` (not in the text) or
    `rewritten` (there, but written in a way that the normaliser does not make), with the lines of these."""

    name: str
    type: str
    values: tuple[str, ...]
    normal: str
    missing: str | None
    has: int
    unlocated: tuple[int, ...] = ()
    rewritten: tuple[int, ...] = ()


class RecordReport(msgspec.Struct, frozen=True):
    """`entities`: how many there are of each label, most frequent first."""

    fields: tuple[FieldRow, ...]
    entities: dict[str, int]


def record_report(dataset: Dataset) -> RecordReport:
    """Of a Dataset of kind record."""
    return _report(dataset, align(dataset))


def _report(dataset: Dataset, aligned: Aligned) -> RecordReport:
    contents = [msgspec.json.decode(str(value)) for value in dataset.values]
    rows = [_row(field, dataset, contents, aligned) for field in aligned.form.fields]
    return RecordReport(tuple(rows), _entity_counts(aligned))


def record_problems(dataset: Dataset) -> list[Problem]:
    """Everything that is worth knowing before training on records."""
    aligned = align(dataset)
    report = _report(dataset, aligned)
    contents = [msgspec.json.decode(str(value)) for value in dataset.values]
    problems: list[Problem] = []
    for row, field in zip(report.fields, _form(dataset).fields):
        problems += _not_copied(row, field, dataset, contents)
    problems += [*_nested(dataset, contents), *_inside_words(dataset, aligned)]
    return [*problems, *_labels_once(dataset, report.entities), *spelling_problems(report.entities)]


def unseen_values(dataset: Dataset) -> list[Problem]:
    """Warnings about labels of entities and chosen values that the (given) task of a test set lacks."""
    form, aligned = _form(dataset), align(dataset)
    known = {field.name for field in form.fields} | set(form.entities)
    new = Counter(name for one in aligned.examples for name, *_ in one.spans if name not in known)
    members = [i for i, one in enumerate(aligned.examples) if any(name in new for name, *_ in one.spans)]
    message = f"examples with entities whose labels the training data lacks ({listed(list(new))}): {len(members):,}"
    remedy = "Add training examples for them, or remove the lines; they can only be answered wrongly."
    problems = warning("unseen_label", f"{message} of {len(dataset):,}", remedy, dataset, members)
    chosen = [field for field in form.fields if field.type == "choice"]
    for n, field in enumerate(chosen):
        members = [i for i, one in enumerate(aligned.examples) if one.classes[n] is None]
        message = f"examples whose {shown(field.name)} has a value that the training data lacks: {len(members):,}"
        problems += warning("unseen_value", f"{message} of {len(dataset):,}", remedy, dataset, members)
    return problems


def _form(dataset: Dataset) -> RecordForm:
    return dataset.task.record or RecordForm()


def _row(field: Field, dataset: Dataset, contents: Sequence[Any], aligned: Aligned) -> FieldRow:
    values = [value_of(content, field.path) for content in contents]
    row = FieldRow(
        field.name, field.type, field.values, field.normal if field.type in COPIED else "", field.missing,
        sum(not is_missing(value) for value in values),
    )  # fmt: skip
    if field.type not in COPIED:
        return row
    unlocated, rewritten = [], []
    for example, value, text, one in zip(dataset.examples, values, aligned.texts, aligned.examples):
        if field.name in one.unlocated:
            unlocated.append(example.line)
        elif not is_missing(value) and not _is_made(field, value, text, one.spans):
            rewritten.append(example.line)
    return msgspec.structs.replace(row, unlocated=tuple(unlocated), rewritten=tuple(rewritten))


def _is_made(field: Field, value: Any, text: str, spans: Sequence[tuple[str, int, int]]) -> bool:
    """Whether the normaliser makes the value of what stands at its places."""
    places = [text[begin:end] for name, begin, end in spans if name == field.name]
    return all(
        any(explains(field.normal, item, place) for place in places)
        for item in (value if isinstance(value, list) else [value])
    )


def _not_copied(row: FieldRow, field: Field, dataset: Dataset, contents: Sequence[Any]) -> list[Problem]:
    index = {example.line: i for i, example in enumerate(dataset.examples)}

    def describe(i: int) -> str:
        value = msgspec.json.encode(value_of(contents[i], field.path)).decode()
        return f"line {dataset.examples[i].line}: {shown(value)[1:-1]}"

    lost = f"values of {shown(row.name)} that are not in the text: {len(row.unlocated):,} of {row.has:,}"
    lost += "; the field is not learnt from these examples, the others of their fields are"
    other = f"values of {shown(row.name)} that stand in the text, but written differently: {len(row.rewritten):,} of "
    other += f"{row.has:,}; they are learnt as they stand there ({row.normal})"
    lines = [index[line] for line in row.unlocated]
    rewritten = [index[line] for line in row.rewritten]
    return [
        *warning("unlocated", lost, "Write the value as it stands in the text.", dataset, lines, describe),
        *warning("rewritten", other, "Write all values in one way.", dataset, rewritten, describe),
    ]


def _nested(dataset: Dataset, contents: Sequence[Any]) -> list[Problem]:
    """Entities inside of one with another label; other overlaps are errors of their lines."""
    found = {i: text for i, content in enumerate(contents) if (text := nested(entities_of(content)))}

    def describe(i: int) -> str:
        return f"line {dataset.examples[i].line}: {found[i]}"

    message = f"examples with an entity inside of one with another label: {len(found):,}; they are learnt as they stand"
    remedy = "If one of the two is enough, remove the other."
    return warning("nested_entities", message, remedy, dataset, list(found), describe)


def _inside_words(dataset: Dataset, aligned: Aligned) -> list[Problem]:
    """Entities whose borders cut words, where they are many: their offsets may count something else."""
    labels = set(aligned.form.entities)
    cut: dict[int, str] = {}
    total = inside = 0
    for i, (text, one) in enumerate(zip(map(Text, aligned.texts), aligned.examples)):
        places = [(begin, end) for name, begin, end in one.spans if name in labels]
        wrong = [place for place in places if not text.is_word(place)]
        total, inside = total + len(places), inside + len(wrong)
        cut |= {i: text.text[slice(*wrong[0])]} if wrong else {}

    def describe(i: int) -> str:
        return f"line {dataset.examples[i].line}: {shown(cut[i])}"

    if inside < INSIDE * total:
        return []
    message = f"entities that begin or end inside of a word: {inside:,} of {total:,}"
    remedy = "Look whether the offsets count characters (Unicode code points)."
    return warning("inside_words", message, remedy, dataset, list(cut), describe)


def _labels_once(dataset: Dataset, counts: dict[str, int]) -> list[Problem]:
    once = [label for label, count in counts.items() if count == 1]
    if not once:
        return []
    message = (
        f"labels of entities that occur once: {len(once):,}; they are learnt, but cannot be held out to be checked"
    )
    return [
        Problem("warning", "label_once", message, None, "Add a second example of each, or remove the label.", len(once),
                (listed(once),))
    ]  # fmt: skip


def _entity_counts(aligned: Aligned) -> dict[str, int]:
    labels = set(aligned.form.entities)
    counts = Counter(name for one in aligned.examples for name, *_ in one.spans if name in labels)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
