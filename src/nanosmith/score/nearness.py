"""How near generated texts are to their references: BLEU and chrF of a whole set, ROUGE-L of one text.

They give what sacrebleu 2 (BLEU: 13a tokens, exponential smoothing; chrF2: character 6-grams) and rouge-score 0.1
(ROUGE-L, without stemming) give; the tests compare. Sources: Papineni et al. 2002, "BLEU"; Post 2018, "A Call for
Clarity in Reporting BLEU Scores"; Popović 2015, "chrF"; Lin 2004, "ROUGE".
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence

WORD = re.compile(r"[^\W_]+")
ORDER = 4  # n-grams of BLEU
CHARS = 6  # n-grams of chrF
BETA = 2
ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
TOKENS_13A = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
"""The rules of mteval-v13a.pl for languages that separate words."""


def bleu(given: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Of a set of answers, in [0, 100]: each beside its references (one and more)."""
    right, total = [0] * ORDER, [0] * ORDER
    ours = theirs = 0
    for text, others in zip(given, references, strict=True):
        tokens, wanted = _tokens(text), [_tokens(other) for other in others]
        ours += len(tokens)
        theirs += min((abs(len(one) - len(tokens)), len(one)) for one in wanted)[1]
        for n in range(ORDER):
            found, most = _ngrams(tokens, n + 1), Counter[Hashable]()
            for one in wanted:
                most |= _ngrams(one, n + 1)
            right[n] += (found & most).total()
            total[n] += max(0, len(tokens) - n)
    return _bleu(right, total, ours, theirs)


def _bleu(right: Sequence[int], total: Sequence[int], ours: int, theirs: int) -> float:
    """An order without any match counts as half of a match, the next as a quarter, …; too short answers lose."""
    if not any(right):
        return 0.0
    logs, smooth = 0.0, 1.0
    for matches, n in zip(right, total):
        if n == 0:
            return 0.0
        smooth *= 1 if matches else 2
        logs += math.log(matches / n if matches else 1 / (smooth * n))
    brevity = 1.0 if ours >= theirs else math.exp(1 - theirs / ours)
    return 100 * brevity * math.exp(logs / ORDER)


def chrf(given: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Of a set of answers, in [0, 100]: each counts with the reference that it is nearest to."""
    sums = [[0, 0, 0] for _ in range(CHARS)]
    for text, others in zip(given, references, strict=True):
        counts = [_char_counts(text, other) for other in others]
        best = max(counts, key=_chrf)
        for total, row in zip(sums, best):
            for i, count in enumerate(row):
                total[i] += count
    return 100 * _chrf(sums)


def _char_counts(given: str, reference: str) -> list[list[int]]:
    """Per order: n-grams of the answer, of the reference, of both."""
    ours, theirs = "".join(given.split()), "".join(reference.split())
    rows = []
    for n in range(1, CHARS + 1):
        a, b = _ngrams(ours, n), _ngrams(theirs, n)
        rows.append([a.total() if b else 0, b.total(), (a & b).total()])
    return rows


def _chrf(counts: Sequence[Sequence[int]]) -> float:
    """In [0, 1]: the F of the mean precision and the mean recall, over the orders that both texts have."""
    rows = [(common / a, common / b) for a, b, common in counts if a and b]
    if not rows:
        return 0.0
    precision, recall = (sum(column) / len(rows) for column in zip(*rows))
    bottom = BETA**2 * precision + recall
    return (1 + BETA**2) * precision * recall / bottom if bottom else 0.0


def rouge_l(given: str, reference: str) -> float:
    """F1 of the longest common subsequence of words, in [0, 1]."""
    ours, theirs = words(given), words(reference)
    return 2 * common_length(ours, theirs) / (len(ours) + len(theirs)) if ours or theirs else 0.0


def common_length(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence, with one bit per item of `one` (Hyyrö 2004, "Bit-Parallel LCS-length
    Computation Revisited")."""
    places: dict[Hashable, int] = {}
    for i, item in enumerate(one):
        places[item] = places.get(item, 0) | 1 << i
    whole = (1 << len(one)) - 1
    state = whole
    for item in other:
        met = state & places.get(item, 0)
        state = ((state + met) | (state - met)) & whole
    return len(one) - state.bit_count()


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _tokens(text: str) -> list[str]:
    line = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in line:
        for entity, char in ENTITIES:
            line = line.replace(entity, char)
    line = f" {line} "
    for pattern, spaced in TOKENS_13A:
        line = pattern.sub(spaced, line)
    return line.split()


def _ngrams(items: Sequence[Hashable], n: int) -> Counter[Hashable]:
    return Counter(tuple(items[i : i + n]) for i in range(len(items) - n + 1))
