"""Explained wrong answers, as lines and as marked text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nanosmith.core.explanation import LabelExplanation
from nanosmith.score.render import figures
from nanosmith.score.report import Report

WORDS = 5  # named with their values
MARKED_CHARS = 600  # of a text that is shown with marks
FOR, AGAINST = "46, 160, 67", "218, 54, 51"
STRONGEST = 0.65  # opacity of the largest mark


class Segment(NamedTuple):
    """A piece of text; `background` is a CSS colour, and `value` what it did, or both are None between words."""

    text: str
    background: str | None = None
    value: float | None = None


def lines(report: Report) -> list[str]:
    """Per answer what was wanted and given, and for each label given the words that weigh most."""
    shown = []
    for row in report.explained:
        sure = "" if row.confidence is None else f", confidence {row.confidence:.2f}"
        wanted, given = figures.answer(row.wanted), figures.answer(row.given)
        shown.append(f"  example {row.index + 1}{sure}: wanted {wanted}, given {given}")
        for label in row.explanation.labels:
            name = "" if label.label == row.given else f"{label.label}: "
            shown.append(f"    {name}{label.summary(WORDS)}")
    return ["Wrong answers of the highest confidence, and the words that carried them", *shown] if shown else []


def segments(text: str, label: LabelExplanation) -> Iterator[Segment]:
    """The text in pieces, its words marked green for the label and red against it, the stronger the larger."""
    largest = max((abs(word.value) for word in label.words), default=0.0) or 1.0
    at = 0
    for word in label.words:
        if word.end > MARKED_CHARS:
            break
        if word.start > at:
            yield Segment(text[at : word.start])
        colour = FOR if word.value > 0 else AGAINST
        opacity = STRONGEST * abs(word.value) / largest
        yield Segment(word.text, f"rgba({colour}, {opacity:.2f})", word.value)
        at = word.end
    yield Segment("…" if len(text) > MARKED_CHARS else text[at:])
