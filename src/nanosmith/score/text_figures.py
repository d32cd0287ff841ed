"""What a report tells about generated texts; docs/report.md explains each figure."""

from __future__ import annotations

import msgspec

from nanosmith.score.intervals import Interval


class Pace(msgspec.Struct, frozen=True):
    """How fast a text is written, one at a time: milliseconds to its first piece, and tokens per second behind that."""

    first_p50_ms: float
    first_p95_ms: float
    tokens_per_s: float
    tokens: float


class WorstText(msgspec.Struct, frozen=True):
    """An answer beside its nearest reference, all shortened: `index` is its 0-based position."""

    index: int
    text: str
    wanted: str
    given: str
    rouge_l: float


class TextFigures(msgspec.Struct, frozen=True):
    """`exact_match`, `rouge_l` and `valid` are in [0, 1], `bleu` and `chrf` in [0, 100], as sacrebleu writes them.

    Each answer has up to `references` references, and counts with the best one. `valid` is the share of answers that
    obey the task's JSON schema, None where there is none. `pace` is None for a predictor that writes no text piece by
    piece. `worst` are the answers with the lowest ROUGE-L.
    """

    exact_match: float
    exact_match_interval: Interval
    rouge_l: float
    rouge_l_interval: Interval
    bleu: float
    chrf: float
    references: int
    valid: float | None
    pace: Pace | None
    worst: tuple[WorstText, ...]
