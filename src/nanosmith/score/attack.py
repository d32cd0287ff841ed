"""A greedy search for one changed character that makes a right answer wrong.

The words whose removal costs the wanted answer most are tried first, as in Pruthi et al. 2019, "Combating Adversarial
Misspellings with Robust Word Recognition"; there a character is dropped, swapped with the next, replaced, or added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random

import msgspec

from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task, Value
from nanosmith.score.metrics import as_set

QUERIES = 100  # per text
TOP_WORDS = 4  # that share what is left of the queries
WORD = re.compile(r"[^\W\d_](?:[^\W_]|['’])*")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Attempt(msgspec.Struct, frozen=True):
    """What one search found: the text that made the answer wrong and that answer, both None where there was none.
    `queries` is how often the predictor was asked."""

    text: str | None
    given: Value | None
    queries: int


def attack(
    answer: Callable[[str], Prediction], task: Task, text: str, wanted: Value, random: Random, queries: int = QUERIES
) -> Attempt:
    """Search for a text that differs in one character and is answered wrongly, with at most so many queries."""
    asked = 0
    spans = [match.span() for match in WORD.finditer(text)]
    importance = {}
    for start, end in random.sample(spans, min(len(spans), queries // 2)):
        importance[start, end] = support(task, answer(text[:start] + text[end:]), wanted)
        asked += 1
    ranked = sorted(importance, key=importance.__getitem__)
    share = (queries - asked) // max(1, min(TOP_WORDS, len(ranked)))
    for start, end in ranked:
        for word, _ in zip(edits(text[start:end], random), range(min(share, queries - asked))):
            found = answer(text[:start] + word + text[end:])
            asked += 1
            if as_set(found.value) != as_set(wanted):
                return Attempt(text[:start] + word + text[end:], found.value, asked)
    return Attempt(None, None, asked)


def support(task: Task, prediction: Prediction, wanted: Value) -> float:
    """How far an answer is from being another one than `wanted`; below 0 it may be one.

    For choice, the margin of the wanted label; for labels, the probability of the least likely of the wanted decisions.
    Without probabilities, 1 or 0.
    """
    probabilities = dict(zip(prediction.labels, prediction.probabilities))
    if not probabilities:
        return float(as_set(prediction.value) == as_set(wanted))
    if task.kind == "choice":
        mine = probabilities.pop(str(wanted), 0.0)
        return mine - max(probabilities.values(), default=0.0)
    return min(p if label in wanted else 1 - p for label, p in probabilities.items())


def edits(word: str, random: Random) -> Iterator[str]:
    """Words that differ from `word` in one character, without repetition, in random order, each place in turn."""
    seen = {word}
    for _ in range(3):  # other letters each time
        places = random.sample(range(len(word)), len(word))
        for kind in range(4):
            for i in places:
                found = _edit(word, i, kind, random.choice(LETTERS))
                if found not in seen:
                    seen.add(found)
                    yield found


def _edit(word: str, i: int, kind: int, letter: str) -> str:
    """Drop, swap, replace or insert at one place."""
    if kind == 0:
        return word[:i] + word[i + 1 :]
    if kind == 1:
        return word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :]
    return word[:i] + letter + word[i + (kind == 2) :]
