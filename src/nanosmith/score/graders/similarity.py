"""Metrics of how near a text is to its reference, from 0 to 1.

Sources: BLEU: Papineni et al. 2002, smoothed by method 3 of Chen and Cherry 2014, with shorter n-grams for texts of
fewer than four tokens. GLEU: Wu et al. 2016. METEOR: Banerjee and Lavie 2005; words match by form or by Porter stem,
never as synonyms, because those need WordNet's files. ROUGE: Lin 2004, as F1 of the n-grams or of the longest common
subsequence, without stemming. fuzzy_match: rapidfuzz's WRatio of the texts in lower case and without punctuation.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Literal, TypeAlias

from nanosmith.core.errors import MissingExtra

Metric: TypeAlias = Literal[
    "cosine", "fuzzy_match", "bleu", "gleu", "meteor", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l"
]
MODULES = ("rapidfuzz", "nltk")
WORD = re.compile(r"[^\W_]+")
TOKEN = re.compile(r"\w+|[^\w\s]+")
MAX_STEMMED_CHARS = 64
"""Longer words are no words of a language; the stemmer takes quadratic time for them."""


def check_installed() -> None:
    """Raises MissingExtra when a metric could not be computed; to be called before any work."""
    for module in MODULES:
        if find_spec(module) is None:
            raise MissingExtra(module, "evals")


def similarity(metric: Metric, given: str, reference: str) -> float:
    """In [0, 1]. Every metric but cosine, which is not computed from the texts. Raises MissingExtra."""
    check_installed()
    return METRICS[metric](given, reference)


def fuzzy_match(given: str, reference: str) -> float:
    from rapidfuzz import fuzz, utils

    if given == reference:  # also where nothing but punctuation is in both
        return 1.0
    return fuzz.WRatio(given, reference, processor=utils.default_process) / 100


def bleu(given: str, reference: str) -> float:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smoothing = SmoothingFunction().method3
    tokens = TOKEN.findall(given)
    if not tokens:
        return 0.0
    score = sentence_bleu([TOKEN.findall(reference)], tokens, smoothing_function=smoothing, auto_reweigh=True)
    return min(1.0, float(score))


def gleu(given: str, reference: str) -> float:
    from nltk.translate.gleu_score import sentence_gleu

    return float(sentence_gleu([TOKEN.findall(reference)], TOKEN.findall(given)))


def meteor(given: str, reference: str) -> float:
    from nltk.translate.meteor_score import single_meteor_score

    tokens = TOKEN.findall(reference), TOKEN.findall(given)
    return float(single_meteor_score(*tokens, stemmer=_Stemmer(), wordnet=_NoSynonyms()))


def rouge_n(given: str, reference: str, n: int) -> float:
    ours, theirs = (_ngrams(_words(text), n) for text in (given, reference))
    return _f1((ours & theirs).total(), ours.total(), theirs.total())


def rouge_l(given: str, reference: str) -> float:
    try:
        from rapidfuzz.distance import LCSseq
    except ImportError as error:
        raise MissingExtra("rapidfuzz", "evals") from error
    ours, theirs = _words(given), _words(reference)
    return _f1(LCSseq.similarity(ours, theirs), len(ours), len(theirs))


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two embeddings (D,), in [0, 1]: what points apart is as far as can be."""
    norms = math.hypot(*one) * math.hypot(*other)
    dot = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    return min(1.0, max(0.0, dot / norms)) if norms > 0 else 0.0


class _Stemmer:
    """The Porter stemmer, for words of a language."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self._porter = PorterStemmer()

    def stem(self, word: str) -> str:
        return word if len(word) > MAX_STEMMED_CHARS else str(self._porter.stem(word))


class _NoSynonyms:
    """Takes the place of WordNet, whose files are not installed."""

    def synsets(self, _word: str) -> list[object]:
        return []


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def _f1(common: int, ours: int, theirs: int) -> float:
    return 2 * common / (ours + theirs) if ours + theirs else 0.0


def _rouge(n: int) -> Callable[[str, str], float]:
    return lambda given, reference: rouge_n(given, reference, n)


METRICS: dict[Metric, Callable[[str, str], float]] = {
    "fuzzy_match": fuzzy_match, "bleu": bleu, "gleu": gleu, "meteor": meteor, "rouge_l": rouge_l,
    "rouge_1": _rouge(1), "rouge_2": _rouge(2), "rouge_3": _rouge(3), "rouge_4": _rouge(4), "rouge_5": _rouge(5),
}  # fmt: skip
