"""A text as a tagger reads it: word pieces, the shape of each, the words that are tagged, and windows over a long text.

An uncased vocabulary does not tell "May" from "may", and no vocabulary tells where a line begins. The code of a piece
does: the case of its word, what stands before it, and whether it is of the last user turn.

Letters: T pieces of a text, U units (words, or pieces where spans may begin inside of words).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from tokenizers import Tokenizer

CASES = ("lower", "title", "upper", "letter", "mixed", "digits", "digits and letters", "sign")
BEFORE = ("piece", "nothing", "space", "line")
TURNS = 2  # the last user turn, or anything else
CODES = len(CASES) * len(BEFORE) * TURNS
PLAIN = 0  # the code of special tokens
OVERLAP = 64  # pieces that neighbouring windows share
MAX_WINDOWS = 16


class Pieces(NamedTuple):
    """A text without special tokens: `ids` (T), `codes` (T), and of each unit its first piece (U) and its characters
    [start, end) (U)."""

    ids: list[int]
    codes: list[int]
    firsts: list[int]
    spans: list[tuple[int, int]]


class Window(NamedTuple):
    """Pieces [start, end) that are read together; the window answers for those in [first, last)."""

    start: int
    end: int
    first: int
    last: int


def code_of(case: int, before: int, outside: int) -> int:
    """One number below CODES for a place in CASES, one in BEFORE, and whether a piece is outside of the last turn."""
    return (outside * len(BEFORE) + before) * len(CASES) + case


def parts_of(code: int) -> tuple[int, int, int]:
    """The reverse of `code_of`."""
    rest, case = divmod(code, len(CASES))
    outside, before = divmod(rest, len(BEFORE))
    return case, before, outside


def read_pieces(tokenizer: Tokenizer, text: str, turn: tuple[int, int] | None, *, whole_words: bool) -> Pieces:
    """`turn` has the characters [start, end) of the last user turn (None: all of the text)."""
    found = tokenizer.encode(text, add_special_tokens=False)
    ids, offsets, words = found.ids, found.offsets, found.word_ids
    first_char, last_char = turn or (0, len(text))
    codes: list[int] = []
    firsts: list[int] = []
    spans: list[tuple[int, int]] = []
    last_word, last_end, case = None, 0, 0
    for place, ((start, end), word) in enumerate(zip(offsets, words)):
        inner = word is not None and word == last_word
        if not inner:
            case = case_of(text[start : _word_end(offsets, words, place)])
            last_word = word
        outside = not first_char <= start < last_char
        codes.append(code_of(case, 0 if inner else _before(text, last_end, start), outside))
        if inner and whole_words:
            spans[-1] = (spans[-1][0], end)
        else:
            firsts.append(place)
            spans.append((start, end))
        last_end = end
    return Pieces(ids, codes, firsts, spans)


def case_of(word: str) -> int:
    """The place in CASES of a word's shape."""
    if word.isalpha():
        if word.islower():
            return 0
        if word.isupper():
            return 3 if len(word) == 1 else 2
        return 1 if word[0].isupper() and word[1:].islower() else 4 if word.lower() != word else 0
    if word.isdigit():
        return 5
    if word.isalnum():
        return 6
    return 7


def windows(pieces: int, most: int) -> list[Window]:
    """Windows of at most `most` pieces over so many. Each piece is answered for by the window in which it has the most
    neighbours on both sides. What MAX_WINDOWS do not reach is not read."""
    if pieces <= most:
        return [Window(0, pieces, 0, pieces)]
    readable = min(pieces, reach(most))
    starts = [*range(0, readable - most, _stride(most)), readable - most]
    borders = [0, *((a + most + b) // 2 for a, b in pairwise(starts)), readable]
    return [Window(start, start + most, *ends) for start, ends in zip(starts, pairwise(borders))]


def reach(most: int) -> int:
    """The most pieces of a text that windows of `most` pieces can read."""
    return most + _stride(most) * (MAX_WINDOWS - 1)


def _stride(most: int) -> int:
    return most - OVERLAP if most >= 2 * OVERLAP else max(1, most // 2)


def _before(text: str, last_end: int, start: int) -> int:
    gap = text[last_end:start]
    if start == 0 or "\n" in gap:
        return 3
    return 2 if gap else 1


def _word_end(offsets: list[tuple[int, int]], words: list[int | None], place: int) -> int:
    """Where the word ends that begins with the piece at `place`."""
    word, last = words[place], place
    while word is not None and last + 1 < len(words) and words[last + 1] == word:
        last += 1
    return offsets[last][1]
