"""How near generated texts are to their references: BLEU and chrF of a whole set by sacrebleu's defaults (BLEU: 13a
tokens, exponential smoothing; chrF2: character 6-grams), ROUGE-L of one text.

Sources: Papineni et al. 2002, "BLEU"; Post 2018, "A Call for Clarity in Reporting BLEU Scores"; Popović 2015, "chrF";
Lin 2004, "ROUGE".
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from nanosmith.core.errors import MissingExtra
from nanosmith.score.graders.similarity import rouge_l

__all__ = ["bleu", "check_installed", "chrf", "rouge_l"]
MODULES = ("sacrebleu", "rapidfuzz")


def check_installed() -> None:
    """Raises MissingExtra when a figure could not be computed; to be called before any work."""
    for module in MODULES:
        if find_spec(module) is None:
            raise MissingExtra(module, "evals")


def bleu(given: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Of a set of answers, in [0, 100]: each beside its references (one and more)."""
    from sacrebleu import corpus_bleu

    return float(corpus_bleu(given, _streams(references), force=True).score) if given else 0.0


def chrf(given: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Of a set of answers, in [0, 100]: each counts with the reference that it is nearest to."""
    from sacrebleu import corpus_chrf

    return float(corpus_chrf(given, _streams(references)).score) if given else 0.0


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """The first references of all answers, the second ones, …; None where an answer has fewer."""
    most = max(map(len, references), default=0)
    return [[row[i] if i < len(row) else None for row in references] for i in range(most)]
