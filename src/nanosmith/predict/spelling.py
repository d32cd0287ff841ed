"""Misspelled words are read as the words that a model was trained on.

A word that neither the training texts nor the tokenizer's vocabulary have falls into pieces that say little. It is read
as a word of the training texts that is one edit away: a letter more, less, other, or two swapped (Damerau 1964, "A
Technique for Computer Detection and Correction of Spelling Errors"), chosen by how often that word, and the pairs it
makes with its neighbours, occur there (the language model of a noisy channel: Mays, Damerau & Mercer 1991, "Context
Based Spelling Correction"). A word that is known is read otherwise only where the pairs leave little doubt. Blanks too
many or too few are mended where that gives words of the training texts.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tokenizers import Tokenizer

from nanosmith.core.errors import Damaged

SPELLING_FILE = "spelling.txt"
START, END = "^", "$"  # of a text, as neighbours of its first and last word
WORD_PATTERN = r"[^\W\d_]+(?:['’][^\W\d_]+)?"
WORD = re.compile(WORD_PATTERN)
LINE = re.compile(rf"(?:{WORD_PATTERN}|(?:\^|{WORD_PATTERN}) (?:\$|{WORD_PATTERN})) [1-9][0-9]{{0,8}}")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SHORTEST, LONGEST = 2, 20  # letters of a word that may be misspelled
SURE = 4  # letters from which on an unknown word is misspelled even if no neighbour says so; shorter ones may be names
MOST_CORRECTED = 8  # words of one text that are looked at, so that no text costs much
MOST_WORDS, MOST_PAIRS = 20_000, 30_000  # the most frequent ones of the training texts
KEPT_WORDS = 10_000  # whose neighbours by one edit are remembered: looking for them takes most of the time
FIRST_LETTER = 0.7  # what keeping it is worth, in units of the logarithm of a frequency
NEIGHBOUR = 1.5  # what the frequency of a pair is worth, beside that of the word alone
EVIDENCE = 3  # occurrences of a pair with a neighbour that a word needs to replace one that may be right
RARE = 10  # occurrences of a word of the training texts up to which it may be another one, misspelled
WORD_STARTS = ("", "Ġ", "▁")  # how vocabularies write that a token begins a word

Span: TypeAlias = tuple[int, int]


class Correction(NamedTuple):
    """Characters [start, end) of a text are read as `word`."""

    start: int
    end: int
    word: str


class _Place(NamedTuple):
    """A word in small letters, where it stands, and its neighbours."""

    span: Span
    word: str
    left: str
    right: str


class Speller:
    """Corrects by `counts`: how often words, and pairs of words with a blank between, occur in the training texts."""

    def __init__(self, counts: Mapping[str, int], tokenizer: Tokenizer) -> None:
        self._counts, self._tokenizer = counts, tokenizer
        self._usual = frozenset(name for name, count in counts.items() if count > RARE and " " not in name)
        self._near = lru_cache(KEPT_WORDS)(self._one_edit_away)

    @classmethod
    def learn(cls, texts: Iterable[str], tokenizer: Tokenizer) -> Speller:
        """From training texts. What occurs once is left out unless it is a word of the vocabulary: it may be misspelled
        itself, or name a person."""
        words: Counter[str] = Counter()
        pairs: Counter[str] = Counter()
        for text in texts:
            row = [START, *(_plain(match[0]) for match in WORD.finditer(text)), END]
            words.update(row[1:-1])
            pairs.update(f"{left} {right}" for left, right in pairwise(row))
        kept = {word: n for word, n in words.most_common(MOST_WORDS) if n > 1 or _is_known(tokenizer, word)}
        ends = {START, END, *kept}
        for pair, n in pairs.most_common(MOST_PAIRS):
            if n > 1 and pair != f"{START} {END}" and ends.issuperset(pair.split(" ")):
                kept[pair] = n
        return cls(kept, tokenizer)

    @classmethod
    def open(cls, file: Path, tokenizer: Tokenizer) -> Speller:
        """From the file of a bundle. Raises Damaged."""
        lines = file.read_text(encoding="utf-8").splitlines()
        odd = next((number for number, line in enumerate(lines, start=1) if not LINE.fullmatch(line)), None)
        if odd or len(lines) > MOST_WORDS + MOST_PAIRS:
            raise Damaged("the list of words cannot be read", where=f"{file}, line {odd or MOST_WORDS + MOST_PAIRS}")
        counts = (line.rsplit(" ", 1) for line in lines)
        return cls({name: int(count) for name, count in counts}, tokenizer)

    def write(self, folder: Path) -> None:
        """A word, or a pair, per line, with its frequency behind."""
        lines = (f"{name} {count}\n" for name, count in self._counts.items())
        (folder / SPELLING_FILE).write_text("".join(lines), encoding="utf-8", newline="\n")

    def read(self, text: str) -> str:
        """The text as the model shall read it."""
        return applied(text, self.corrections(text))

    def corrections(self, text: str) -> list[Correction]:
        """What is read as something else, in order."""
        if self._usual.issuperset(_words(text)):  # most texts
            return []
        found: list[Correction] = []
        looked_at = 0
        for place in _places(text, self._usual):
            start, end = place.span
            if (found and start < found[-1].end) or not SHORTEST <= len(place.word) <= LONGEST:
                continue
            if not self._is_odd(place):
                continue
            looked_at += 1
            if looked_at > MOST_CORRECTED:
                break
            if joined := self._joined(text, place):
                found.append(joined)
            elif other := self._nearest(place) or self._two_words(place.word):
                found.append(Correction(start, end, other))
        return found

    def _is_odd(self, place: _Place) -> bool:
        """Whether the word is none of the training texts', or a rare one that makes no pair with its neighbours."""
        known = self._counts.get(place.word)
        return known is None or (known <= RARE and not any(self._beside(place.word, place)))

    def _beside(self, word: str, place: _Place) -> tuple[int, int]:
        """How often the word stands beside the left and the right neighbour."""
        return self._counts.get(f"{place.left} {word}", 0), self._counts.get(f"{word} {place.right}", 0)

    def _nearest(self, place: _Place) -> str | None:
        """The likeliest word one edit away, where it may replace the one that is there."""
        best = max(self._near(place.word), key=lambda other: self._likely(other, place), default=None)
        return best if best and self._may_replace(best, place) else None

    def _one_edit_away(self, word: str) -> frozenset[str]:
        return frozenset((edits(word) & self._counts.keys()) - {word})

    def _may_replace(self, other: str, place: _Place) -> bool:
        """A word that nobody knows is replaced at once; a short one needs a neighbour that says so; one of the
        vocabulary or of the training texts both neighbours."""
        beside = self._beside(other, place)
        if place.word in self._counts or _is_known(self._tokenizer, place.word):
            return min(beside) >= EVIDENCE
        return len(place.word) >= SURE or sum(beside) >= EVIDENCE

    def _likely(self, other: str, place: _Place) -> tuple[float, str]:
        beside = sum(math.log(1 + pair) for pair in self._beside(other, place))
        return math.log(self._counts[other]) + NEIGHBOUR * beside + FIRST_LETTER * (other[0] == place.word[0]), other

    def _joined(self, text: str, place: _Place) -> Correction | None:
        """The word and its neighbour behind the next blank as one, where they make no pair."""
        start, end = place.span
        whole = place.word + place.right
        if whole not in self._counts or self._counts.get(f"{place.word} {place.right}") or text[end : end + 1] != " ":
            return None
        if place.word in self._counts and place.right in self._counts:
            return None
        return Correction(start, end + 1 + len(place.right), whole)

    def _two_words(self, word: str) -> str | None:
        """Two words that were written as one, which nobody knows."""
        if word in self._counts or _is_known(self._tokenizer, word):
            return None
        cuts = [f"{word[:i]} {word[i:]}" for i in range(1, len(word))]
        return max((pair for pair in cuts if pair in self._counts), key=self._counts.__getitem__, default=None)


def edits(word: str) -> set[str]:
    """All strings that are one edit away: about 54 per letter."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    found = {left + right[1:] for left, right in cuts if right}
    found |= {left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1}
    found |= {left + letter + right[1:] for left, right in cuts if right for letter in LETTERS}
    return found | {left + letter + right for left, right in cuts for letter in (*LETTERS, "'")}


def applied(text: str, corrections: Sequence[Correction]) -> str:
    """The text with its corrections made."""
    parts, end = [], 0
    for one in corrections:
        parts += [text[end : one.start], one.word]
        end = one.end
    return "".join([*parts, text[end:]]) if parts else text


def original(span: Span, corrections: Sequence[Correction]) -> Span:
    """Where characters [start, end) of the corrected text stand in the text as it was: a correction's are those of the
    whole misspelled word."""
    start, end = span
    moved = 0  # how much later the place is in the corrected text
    for one in corrections:
        begins, ends = one.start + moved, one.start + moved + len(one.word)
        if end <= begins:
            break
        if start < ends:
            return one.start, one.end
        moved += len(one.word) - (one.end - one.start)
    return start - moved, end - moved


def _places(text: str, usual: frozenset[str]) -> Iterator[_Place]:
    """Of all words but usual ones."""
    words = [START, *_words(text), END]
    for match, word, left, right in zip(WORD.finditer(text), words[1:], words, words[2:]):
        if word not in usual:
            yield _Place(match.span(), word, left, right)


def _words(text: str) -> list[str]:
    """In small letters."""
    if text.isascii():  # the same as below, in half of the time
        found: list[str] = WORD.findall(text.lower())
        return found
    return [_plain(word) for word in WORD.findall(text)]


def _plain(word: str) -> str:
    return word.lower().replace("’", "'")


def _is_known(tokenizer: Tokenizer, word: str) -> bool:
    """Whether the word, or each part beside an apostrophe, is one token of the vocabulary."""
    return all(
        any(tokenizer.token_to_id(start + part) is not None for start in WORD_STARTS) for part in word.split("'")
    )
