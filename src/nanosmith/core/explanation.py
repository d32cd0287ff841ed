"""Explanation: what each word of an input did for an answer."""

from __future__ import annotations

import msgspec

WORD_CHARS = 40


class WordValue(msgspec.Struct, frozen=True):
    """Characters [start, end) of the text, and what they did for a label: for it above 0, against it below."""

    text: str
    start: int
    end: int
    value: float


class LabelExplanation(msgspec.Struct, frozen=True):
    """One label. `score` is the log-odds ln(p / (1 - p)) of its calibrated probability, `empty_score` that for an empty
    text; the values of the words sum to their difference."""

    label: str
    score: float
    empty_score: float
    words: tuple[WordValue, ...]

    def summary(self, words: int) -> str:
        """The words that weigh most, on one line: "refund +4.33, not -1.20"."""
        largest = sorted(self.words, key=lambda word: -abs(word.value))[:words]
        return ", ".join(f"{_on_one_line(word.text)} {word.value:+.2f}" for word in largest)


class Explanation(msgspec.Struct, frozen=True):
    """Why `labels` were answered.

    `text` is what the model read, as `Task.text_of` writes it; `truncated` when the input goes on after it. `runs`
    counts how often the model was asked for it, and `tokens` what it read then.
    """

    text: str
    truncated: bool
    labels: tuple[LabelExplanation, ...]
    runs: int
    tokens: int
    method: str = "shapley"
    unit: str = "log_odds"


def _on_one_line(text: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= WORD_CHARS else line[: WORD_CHARS - 1] + "…"
