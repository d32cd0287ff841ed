"""Where a value stands in a text: as a copy, case, spacing and punctuation aside, or as a number, date or time."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec

from nanosmith.core import dates
from nanosmith.core.normal import normalise
from nanosmith.core.numbers import DIGITS, SCALES, SUFFIXES, WORDS

Place = tuple[int, int]
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of scripts that write no spaces between words, or add endings to them: Thai to Khmer, Chinese, Japanese,
Korean. Beside them any place may be the border of a word."""
MOST_PLACES = 64  # of one value in one text
FIGURES = (
    re.compile(rf"(?<![\w.,])[-−]?(?:{DIGITS}|[.,]\d+)(?!\d)"),
    re.compile(r"(?<!\d)[-−]?\d+(?:[.,'’]\d+)*(?!\d)"),
    re.compile(rf"(?<![\w.,])[-−]?(?:{DIGITS})\s?(?:{'|'.join((*SUFFIXES, *SCALES))})\b", re.I),
)
_WORD = "|".join(sorted(WORDS - {"a", "an"}, key=len, reverse=True))
IN_WORDS = re.compile(
    rf"\b(?:an?\s+(?=dozen|hundred|thousand))?(?:{_WORD})\b(?:(?:[\s-]+and)?[\s-]+(?:{_WORD})\b)*", re.I
)
DATES = (
    dates.YEAR_MONTH, dates.DAY_MONTH, dates.DAY_MONTH_JOINED, dates.MONTH_DAY, dates.NUMBERS, dates.COMPACT,
)  # fmt: skip
TIMES = (dates.TIME, re.compile(r"\b(?:noon|midday|midnight)\b", re.I))
READ = {"integer", "number", "float", "percent", "fixed", "date", "time"}


def is_read(normal: str) -> bool:
    """Whether a normaliser reads numbers, dates or times; the others copy."""
    return normal.partition(":")[0] in READ


class Text:
    """A text in which values are looked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._read: dict[str, dict[str, list[Place]]] = {}

    def places(self, value: Any, normal: str) -> list[Place]:
        """Where a decoded value may have been copied from, in the order of the text."""
        if is_read(normal):
            return self._readings(normal).get(msgspec.json.encode(value).decode(), [])
        return self.copies(value) if isinstance(value, str) else []

    def copies(self, value: str) -> list[Place]:
        """Where these letters and digits stand, case, accents, spaces and punctuation aside."""
        wanted = "".join(letter for _, letter in _bare(value))
        if not wanted:
            return self._verbatim(value)
        before, after = _ends(value)
        letters, positions = self._bare
        found: list[Place] = []
        i = letters.find(wanted)
        while i >= 0 and len(found) < MOST_PLACES:
            begin, end = positions[i], positions[i + len(wanted) - 1] + 1
            if self._is_whole(begin, end, wanted):
                found.append(self._widened(begin, end, before, after))
            i = letters.find(wanted, i + 1)
        return found

    def is_word(self, place: Place) -> bool:
        """Whether no letter or digit of the same word stands right before or after."""
        return not any(0 < at < len(self.text) and _are_joined(*self.text[at - 1 : at + 1]) for at in place)

    def _verbatim(self, value: str) -> list[Place]:
        return (
            [match.span() for match in re.finditer(re.escape(value.strip()), self.text)][:MOST_PLACES] if value else []
        )

    def _is_whole(self, begin: int, end: int, wanted: str) -> bool:
        """A short or numeric value must not be a part of a longer word or number."""
        if not wanted.isdecimal():
            return len(wanted) > 3 or self.is_word((begin, end))
        return self.is_word((begin, end)) and not (
            re.search(r"\d[.,:]$", self.text[max(0, begin - 2) : begin])
            or re.match(r"[.,:]\d", self.text[end : end + 2])
        )

    def _widened(self, begin: int, end: int, before: str, after: str) -> Place:
        """With the punctuation that the value has at its ends, as far as it stands there."""
        for mark in reversed(before):
            left = len(self.text[:begin].rstrip())
            if self.text[:left].endswith(mark):
                begin = left - 1
        for mark in after:
            right = end + len(self.text[end:]) - len(self.text[end:].lstrip())
            if self.text.startswith(mark, right):
                end = right + 1
        return begin, end

    @cached_property
    def _bare(self) -> tuple[str, list[int]]:
        """Letters and digits, folded, and where each stands."""
        pairs = list(_bare(self.text))
        return "".join(letter for _, letter in pairs), [position for position, _ in pairs]

    def _readings(self, normal: str) -> dict[str, list[Place]]:
        if normal not in self._read:
            found: dict[str, list[Place]] = defaultdict(list)
            for place in self._candidates(normal):
                value = normalise(normal, self.text[slice(*place)])
                if value is not None and place not in found[value]:
                    found[value].append(place)
            self._read[normal] = {value: sorted(places)[:MOST_PLACES] for value, places in found.items()}
        return self._read[normal]

    def _candidates(self, normal: str) -> Iterator[Place]:
        kind = normal.partition(":")[0]
        patterns = DATES if kind == "date" else TIMES if kind == "time" else (*FIGURES, IN_WORDS)
        for pattern in patterns:
            for match in pattern.finditer(self.text):
                begin, end = match.span()
                words = self.text[begin:end]
                yield begin + len(words) - len(words.lstrip()), begin + len(words.rstrip(" \t\r\n,.-/"))


def _bare(text: str) -> Iterator[tuple[int, str]]:
    """Letters and digits without case and accents, one each, with their positions."""
    if text.isascii():
        yield from ((i, c) for i, c in enumerate(text.lower()) if c.isalnum())
        return
    for i, c in enumerate(text):
        if c.isalnum():
            yield i, c.lower() if c.isascii() else unicodedata.normalize("NFKD", c.casefold())[0]


def _are_joined(one: str, other: str) -> bool:
    """Whether two neighbours are of one word or number."""
    return one.isalnum() and other.isalnum() and not (UNSPACED.match(one) or UNSPACED.match(other))


def _ends(value: str) -> tuple[str, str]:
    """The punctuation before the first and after the last letter or digit, without spaces."""
    stripped = [i for i, c in enumerate(value) if c.isalnum()]
    before, after = value[: stripped[0]], value[stripped[-1] + 1 :]
    return "".join(before.split()), "".join(after.split())
