"""From several answers to one input to one answer: the mean of probabilities, a vote, or the answer nearest to all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from nanosmith.core.task import Task, Value
from nanosmith.flows.labelling.journal import DIGITS, Entry
from nanosmith.score.nearness import rouge_l

MAJORITY = 0.5


class Agreed(NamedTuple):
    """`value` None: they disagree, in the share `agreement` of the answers or (texts) at that mean nearness."""

    value: Value | None
    probabilities: Mapping[str, float] | None
    agreement: float


def agreed(task: Task, answers: Sequence[Entry]) -> Agreed:
    """One answer of at least one. Labels are always agreed on: their disagreement is in the probabilities."""
    if len(answers) == 1:
        return Agreed(answers[0].answer, answers[0].probabilities, 1.0)
    if task.kind == "choice":
        return _choice(answers)
    if task.kind == "labels":
        return _labels(answers)
    return _record(answers) if task.kind == "record" else _text(answers)


def _choice(answers: Sequence[Entry]) -> Agreed:
    """The label with the highest mean probability; an answer without probabilities is sure of its label."""
    mean: Counter[str] = Counter()
    for one in answers:
        for label, share in (one.probabilities or {str(one.answer): 1.0}).items():
            mean[label] += share / len(answers)  # type: ignore[assignment]  # a Counter sums floats too
    value, share = mean.most_common(1)[0]
    return Agreed(value, {label: round(p, DIGITS) for label, p in mean.items()}, share)


def _labels(answers: Sequence[Entry]) -> Agreed:
    """The labels that most answers have."""
    mean: Counter[str] = Counter()
    votes: Counter[str] = Counter()
    for one in answers:
        votes.update(one.answer)
        for label, share in (one.probabilities or dict.fromkeys(one.answer, 1.0)).items():
            mean[label] += share / len(answers)  # type: ignore[assignment]
    value = tuple(sorted(label for label, n in votes.items() if n > MAJORITY * len(answers)))
    same = sum(one.answer == value for one in answers) / len(answers)
    return Agreed(value, {label: round(p, DIGITS) for label, p in mean.items()}, same)


def _record(answers: Sequence[Entry]) -> Agreed:
    """The object that more than half of the answers are, whatever the order of its keys."""
    kinds = Counter(_sorted(one) for one in answers)
    most, n = kinds.most_common(1)[0]
    share = n / len(answers)
    chosen = next(one.answer for one in answers if _sorted(one) == most)
    return Agreed(chosen if share > MAJORITY else None, None, share)


def _text(answers: Sequence[Entry]) -> Agreed:
    """The text with the highest mean ROUGE-L to the others, where that is above a half (minimum Bayes risk: Kumar and
    Byrne 2004, "Minimum Bayes-Risk Decoding for Statistical Machine Translation")."""
    texts = [str(one.answer) for one in answers]
    means = [
        sum(rouge_l(text, other) for j, other in enumerate(texts) if j != i) / (len(texts) - 1)
        for i, text in enumerate(texts)
    ]
    best = max(range(len(texts)), key=means.__getitem__)
    return Agreed(texts[best] if means[best] > MAJORITY else None, None, means[best])


def _sorted(one: Entry) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(str(one.answer)), order="deterministic")
