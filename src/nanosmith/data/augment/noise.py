"""Realistic corruption of texts: misspellings, slips of the finger, chat spelling, spacing, case.

For training, every pass over the data sees other typos (`noisy`). For tests, `Typos(held_out=True)` makes them of
misspellings that training never uses. What kinds of typos help which others: Karpukhin et al. 2019, "Training on
Synthetic Noise Improves Robustness to Natural Noise in Machine Translation".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Literal, TypeAlias, get_args

import numpy as np

from nanosmith.data.augment.material import CHAT, misspellings, near_keys

Kind: TypeAlias = Literal["misspelling", "key", "swap", "drop", "double", "insert", "split", "join", "chat"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WEIGHTS = (30, 15, 13, 13, 6, 10, 3, 5, 5)  # how often each kind is tried first

NOISY = 0.6  # share of the texts of a pass that get noise
EXACTLY_ONE = 0.5  # of these, the share with one typo; the others have a rate
MAX_RATE = 0.3  # of the words
STYLED = 0.1  # share of noisy texts whose case or punctuation changes as a whole
PIECES = re.compile(r"\s+|\S+")
CORE = re.compile(r"(\W*)(.*?)(\W*)", flags=re.DOTALL)
ROLES = frozenset({"user:", "assistant:", "tool:", "function:", "system:", "developer:"})
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def noisy(texts: Sequence[str], random: np.random.Generator, share: float = NOISY) -> list[str]:
    """What one pass trains on: a `share` of the texts with one typo, or with typos in 0–30 % of their words."""
    draw, typos = Random(int(random.integers(2**63))), Typos()  # noqa: S311 - not for secrets
    return [typos.mixed(text, draw) if draw.random() < share else text for text in texts]


class Typos:
    """Puts typos into texts. A held-out one uses misspellings that no other uses; `known` are others, by the word in
    small letters that they stand for."""

    def __init__(self, *, held_out: bool = False, known: Mapping[str, Sequence[str]] | None = None) -> None:
        self._misspellings = misspellings(held_out=held_out) if known is None else known
        self._edits: dict[Kind, Callable[[str, Random], str]] = {
            "misspelling": self._misspell, "key": _key, "swap": _swap, "drop": _drop, "double": _double,
            "insert": _insert, "split": _split, "chat": _chat,
        }  # fmt: skip

    def mixed(self, text: str, random: Random) -> str:
        """Noise of a strength that is drawn, as training wants it."""
        if random.random() < EXACTLY_ONE:
            text = self.one(text, random)
        else:
            text = self.share(text, random, MAX_RATE * random.random())
        return _restyle(text, random) if random.random() < STYLED else text

    def one(self, text: str, random: Random, kind: Kind | None = None) -> str:
        """The text with exactly one typo; as it is where no word can have one (of this `kind`)."""
        pieces = PIECES.findall(text)
        places = _places(pieces)
        random.shuffle(places)
        for place in places:
            if self._corrupt(pieces, place, random, kind):
                break
        return "".join(pieces)

    def share(self, text: str, random: Random, rate: float) -> str:
        """The text with typos in a share `rate` of its words; what is left by rounding is drawn."""
        pieces = PIECES.findall(text)
        places = _places(pieces)
        wanted = rate * sum(not piece.isspace() for piece in pieces)
        count = int(wanted) + (random.random() < wanted % 1)
        random.shuffle(places)
        for place in places:
            if count < 1:
                break
            count -= self._corrupt(pieces, place, random)
        return "".join(pieces)

    def _corrupt(self, pieces: list[str], place: int, random: Random, kind: Kind | None = None) -> bool:
        """Put one typo into the word at `place`; tells whether it could be done."""
        for tried in [kind] if kind else [*random.choices(KINDS, WEIGHTS), "key", "drop"]:
            if tried == "join":
                if place + 2 < len(pieces) and pieces[place + 1] == " ":
                    pieces[place + 1] = ""
                    return True
                continue
            word = self._edit(tried, pieces[place], random)
            if word != pieces[place]:
                pieces[place] = word
                return True
        return False

    def _edit(self, kind: Kind, word: str, random: Random) -> str:
        """Edit what is between the punctuation around a word."""
        match = CORE.fullmatch(word)
        before, core, after = match.groups() if match else ("", word, "")
        return before + self._edits[kind](core, random) + after

    def _misspell(self, word: str, random: Random) -> str:
        known = self._misspellings.get(word.lower())
        return _in_case_of(word, random.choice(known)) if known else word


def _places(pieces: Sequence[str]) -> list[int]:
    """Indices of the words with two letters and more; the role before a turn is no word."""
    return [
        i
        for i, piece in enumerate(pieces)
        if sum(map(str.isalpha, piece)) > 1 and not (piece in ROLES and (i == 0 or "\n" in pieces[i - 1]))
    ]


def _key(word: str, random: Random) -> str:
    """A neighbouring key instead of the right one; for letters that are on no such key, a swap."""
    i = random.randrange(len(word))
    near = near_keys().get(word[i].lower())
    return word[:i] + _in_case_of(word[i], random.choice(near)) + word[i + 1 :] if near else _swap(word, random)


def _swap(word: str, random: Random) -> str:
    """Two neighbours in the wrong order."""
    places = [i for i in range(len(word) - 1) if word[i] != word[i + 1]]
    if not places:
        return word
    i = random.choice(places)
    return word[:i] + word[i + 1] + word[i] + word[i + 2 :]


def _drop(word: str, random: Random) -> str:
    i = random.randrange(len(word))
    return word[:i] + word[i + 1 :] if len(word) > 1 else word


def _double(word: str, random: Random) -> str:
    i = random.randrange(len(word))
    return word[:i] + word[i] + word[i:]


def _insert(word: str, random: Random) -> str:
    """A letter too many: one beside the key that was meant, or any."""
    i = random.randrange(len(word))
    return word[: i + 1] + random.choice(near_keys().get(word[i].lower(), LETTERS)) + word[i + 1 :]


def _split(word: str, random: Random) -> str:
    if len(word) < 4:
        return word
    i = random.randrange(1, len(word))
    return f"{word[:i]} {word[i:]}"


def _chat(word: str, random: Random) -> str:
    """As in a short message; without its apostrophe where there is one."""
    known = CHAT.get(word.lower())
    return random.choice(known) if known else word.replace("'", "").replace("’", "")


def _restyle(text: str, random: Random) -> str:
    """Case or punctuation of the whole text as careless writers leave it."""
    change = random.randrange(4)
    if change == 0:
        return text.lower()
    if change == 1:
        return text.upper()
    if change == 2:
        return re.sub(r"(?<=\w)['’](?=\w)|[.,;!?]+(?=\s|$)", "", text) or text
    return re.sub(r"(?<=\w)(?=[.,!?]( |$))", " ", text)


def _in_case_of(pattern: str, word: str) -> str:
    """`word` with capitals where `pattern` has them: all, the first, or none."""
    if not pattern.isupper() and not pattern[:1].isupper():
        return word
    return word.upper() if pattern.isupper() and (len(pattern) > 1 or len(word) == 1) else word.capitalize()
