"""The words of a text by their places, and which tokens each of them became."""

from __future__ import annotations

import re
import string
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

PUNCTUATION = re.escape(string.punctuation) + "¡-¿\u2010-\u2027\u2030-\u205e\u3001-\u303f\uff01-\uff0f\uff1a-\uff20"
IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(
    rf"[{IDEOGRAPHS}]|[{PUNCTUATION}]+|[^\s{PUNCTUATION}{IDEOGRAPHS}]+(?:['’][^\s{PUNCTUATION}{IDEOGRAPHS}]+)*"
)
"""What stands between spaces, with punctuation apart; an apostrophe inside joins ("don't"), and scripts without spaces
count by the character."""


class Span(NamedTuple):
    """Characters [start, end) of a text."""

    start: int
    end: int


def words_of(text: str) -> list[Span]:
    return [Span(*found.span()) for found in WORD.finditer(text)]


def owners(words: Sequence[Span], tokens: Sequence[Span | None]) -> list[int | None]:
    """For each token the word (its index) that it is a part of; None for a token that stands for no text.

    A token that touches no word, as a space can be one, belongs to the word before it, or to the first one. `words` are
    in order and not empty where there is a token with text.
    """
    ends = [word.end for word in words]
    found: list[int | None] = []
    for token in tokens:
        if token is None:
            found.append(None)
            continue
        at = min(bisect_right(ends, token.start), len(words) - 1)  # the first word that ends after the token's start
        touches = words[at].start < token.end and token.start < words[at].end
        found.append(at if touches or at == 0 else at - (token.end <= words[at].start))
    return found


def grouped(words: Sequence[Span], most: int) -> list[Span]:
    """At most `most` spans: the words themselves, or runs of neighbours of about equal count."""
    count = min(most, len(words))
    bounds = [len(words) * i // count for i in range(count + 1)] if count else []
    return [Span(words[a].start, words[b - 1].end) for a, b in pairwise(bounds)]
