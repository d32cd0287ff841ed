"""Typos for the tests: real misspellings that training never uses, and one random edit of a letter where none is known.

Made here, not by what training uses (nanosmith.data.augment.noise): its own kind of noise would flatter a model.
"""

from __future__ import annotations

import re
from random import Random

from nanosmith.data.augment.material import misspellings

WORD = re.compile(r"[A-Za-z]{3,}")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
REAL = 0.5  # share of the typos that are real misspellings, where one is known


def one_typo(text: str, random: Random) -> str:
    """The text with a typo in one word of three letters and more; as it is without such a word."""
    return _with_typos(text, 1, random)


def typos_in(text: str, share: float, random: Random) -> str:
    """The text with a typo in this share of its words, one at least."""
    return _with_typos(text, max(1, round(share * len(text.split()))), random)


def _with_typos(text: str, count: int, random: Random) -> str:
    words = list(WORD.finditer(text))
    chosen = sorted(random.sample(words, min(count, len(words))), key=lambda match: -match.start())
    for match in chosen:  # the last first, so that the places before it stay
        text = text[: match.start()] + _typo(match[0], random) + text[match.end() :]
    return text


def _typo(word: str, random: Random) -> str:
    known = misspellings(held_out=True).get(word.lower())
    if known and random.random() < REAL:
        return random.choice(known)
    return _edited(word, random)


def _edited(word: str, random: Random) -> str:
    """One letter dropped, added or replaced, or two swapped; never the word itself."""
    while True:
        i, letter = random.randrange(len(word)), random.choice(LETTERS)
        rest = word[i + 1 :]
        made = random.choice(
            (word[:i] + rest, word[:i] + letter + word[i:], word[:i] + letter + rest,
             word[:i] + rest[:1] + word[i] + rest[1:])
        )  # fmt: skip
        if made != word:
            return made
