"""Everything that is worth a look in one or two files, in the order in which a person should look.

The order is that of `priority`: how harmful a finding is, times how certain it is. HARM is a judgement: what makes the
scores lie or teaches wrong answers comes before what wastes time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from nanosmith.core.task import Value
from nanosmith.data.audit.pii import find_pii, mask_pii, masked
from nanosmith.data.audit.suspects import Suspect
from nanosmith.data.checks import near_texts, same_texts, value_text
from nanosmith.data.dataset import Dataset
from nanosmith.data.normal import normalise
from nanosmith.data.overlap import shared_texts
from nanosmith.data.problem import Problem, shown

File: TypeAlias = Literal["train", "test"]

HARM = {
    "conflicting_labels": 0.97, "unseen_label": 0.95, "label_error": 0.94, "shared_text": 0.92, "pii": 0.9,
    "near_conflict": 0.6, "near_shared_text": 0.5, "other_system_prompt": 0.5, "label_spelling": 0.5, "imbalance": 0.4,
    "label_once": 0.35, "long_text": 0.3, "duplicates": 0.25, "near_duplicates": 0.15,
}  # fmt: skip
HARM_OF_OTHERS = 0.3
REPEATED_BELOW = frozenset(
    {"conflicting_labels", "duplicates", "near_duplicates", "shared_text", "near_shared_text"}
)  # problems whose examples are findings of their own
REMEDIES = {
    "label_error": "Read the text; if the suggestion fits better, change the label.",
    "conflicting_labels": "Decide on one answer.",
    "near_conflict": "Read both; decide whether the difference between them justifies two answers.",
    "duplicates": "Remove one, unless it should count more.",
    "near_duplicates": "Remove one, unless it should count more.",
    "shared_text": "Remove it from one of the two files: a score on it says nothing about new texts.",
    "near_shared_text": "Remove it from one of the two files: a score on it says little about new texts.",
    "pii": "Replace it by something made up, unless it may be used for training.",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to look at. `priority` in 0–1 is what findings are ordered by.

    `line` is 1-based, None where the whole file is meant; `other_line` is the line that it is compared with, in
    `other_file`. `text` is shortened, with personal data masked. `given` is the answer in the file, `suggested` a
    better one, `probability` in 0–1 that the given one is wrong; None where the finding is not about that.
    """

    priority: float
    code: str
    file: File
    message: str
    remedy: str | None = None
    line: int | None = None
    other_file: File | None = None
    other_line: int | None = None
    text: str | None = None
    given: Value | None = None
    suggested: Value | None = None
    probability: float | None = None


def findings(
    train: Dataset, suspects: Sequence[Suspect], problems: Sequence[Problem] = (), test: Dataset | None = None,
    test_problems: Sequence[Problem] = (),
) -> list[Finding]:  # fmt: skip
    """All findings about a training file and its test file; `problems` are what the plain check found."""
    found = [*_label_errors(train, suspects), *_pairs(train, "train"), *_personal(train, "train")]
    found += _of_problems(problems, "train")
    if test is not None:
        found += [*_leaks(train, test), *_pairs(test, "test"), *_personal(test, "test")]
    found += _of_problems(test_problems, "test")
    return _ordered(found)


def problem_findings(problems: Sequence[Problem], test_problems: Sequence[Problem]) -> list[Finding]:
    """What can be said where no example of the training file could be read."""
    return _ordered([*_of_problems(problems, "train"), *_of_problems(test_problems, "test")])


def _ordered(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda one: (-one.priority, one.code, one.file, one.line or 0))


def _label_errors(data: Dataset, suspects: Sequence[Suspect]) -> Iterator[Finding]:
    for suspect in suspects:
        better = _answer(suspect.suggested)
        yield _finding(
            data, "train", "label_error", suspect.index, f"likely label error: {better} fits better",
            certainty=suspect.probability, suggested=suspect.suggested, probability=round(suspect.probability, 4),
        )  # fmt: skip


def _pairs(data: Dataset, file: File) -> Iterator[Finding]:
    """Equal and nearly equal texts of one file, with one answer or with several."""
    values, keys = data.values, [normalise(text) for text in data.texts]
    repeated, conflicts = same_texts(values, keys)
    for first, others in conflicts.items():
        for i in others:
            if i != first:
                message = f"the same text has another answer: {_answer(values[first])}"
                yield _finding(data, file, "conflicting_labels", i, message, other=(file, data, first))
    for i, first in repeated.items():
        yield _finding(data, file, "duplicates", i, "repeats a text with the same answer", other=(file, data, first))
    for i, first in near_texts(keys).items():
        other = (file, data, first)
        if values[i] == values[first]:
            message = f"nearly the same: {shown(data.texts[first])}"
            yield _finding(data, file, "near_duplicates", i, message, other=other)
        else:
            message = f"nearly the same, with another answer ({_answer(values[first])}): {shown(data.texts[first])}"
            yield _finding(data, file, "near_conflict", i, message, other=other)


def _leaks(train: Dataset, test: Dataset) -> Iterator[Finding]:
    same, near = shared_texts(train.texts, test.texts)
    for code, pairs, what in (
        ("shared_text", same, "the text is also in the training file"),
        ("near_shared_text", near, "nearly the same as a text of the training file"),
    ):
        for i, j in pairs.items():
            differs = test.values[i] != train.values[j]
            message = f"{what}, with another answer: {_answer(train.values[j])}" if differs else what
            yield _finding(test, "test", code, i, message, other=("train", train, j))


def _personal(data: Dataset, file: File) -> Iterator[Finding]:
    """Personal data in what is read, and in the system prompt that all examples share; each once per line."""
    if data.task.system is not None:
        for one in find_pii(data.task.system):
            yield Finding(
                priority=HARM["pii"] * one.certainty, code=f"pii_{one.kind}", file=file, remedy=REMEDIES["pii"],
                message=f"personal data in the system prompt: {one.kind} {masked(data.task.system, one)}",
            )  # fmt: skip
    seen: set[tuple[int, str]] = set()
    for i, text in enumerate(data.texts):
        for one in find_pii(text):
            key = (data.examples[i].line, text[one.start : one.end])
            if key not in seen:
                seen.add(key)
                message = f"personal data: {one.kind} {masked(text, one)}"
                yield _finding(data, file, f"pii_{one.kind}", i, message, certainty=one.certainty)


def _of_problems(problems: Sequence[Problem], file: File) -> Iterator[Finding]:
    for problem in problems:
        if problem.code not in REPEATED_BELOW:
            priority = 1.0 if problem.level == "error" else HARM.get(problem.code, HARM_OF_OTHERS)
            message = mask_pii("; ".join((problem.message, *problem.examples)))
            yield Finding(priority=priority, code=problem.code, file=file, line=problem.line, message=message,
                          remedy=problem.remedy)  # fmt: skip


def _finding(
    data: Dataset, file: File, code: str, index: int, message: str, *, certainty: float = 1.0,
    other: tuple[File, Dataset, int] | None = None, suggested: Value | None = None, probability: float | None = None,
) -> Finding:  # fmt: skip
    kind = "pii" if code.startswith("pii_") else code
    return Finding(
        priority=round(HARM[kind] * certainty, 4), code=code, file=file, message=message, remedy=REMEDIES[kind],
        line=data.examples[index].line, text=shown(data.texts[index]), given=data.values[index], suggested=suggested,
        probability=probability, other_file=other[0] if other else None,
        other_line=other[1].examples[other[2]].line if other else None,
    )  # fmt: skip


def _answer(value: Value) -> str:
    return shown(value_text(value))
