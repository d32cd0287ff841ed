"""Examples of records as rows that a tagger trains on: windows of pieces, their codes, and the wanted tags.

Letters: U units of a window, G groups of span labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nanosmith.predict.pieces import Pieces, Window, read_pieces, windows
from nanosmith.predict.record_layout import Layout
from nanosmith.predict.record_reader import Reader
from nanosmith.predict.tags import tags_of

if TYPE_CHECKING:
    from nanosmith.data.record.align import AlignedExample

T = TypeVar("T")
WHOLE_WORDS = 0.98  # of the training spans: then all are taken to begin and end at words


class RecordSamples(msgspec.Struct, frozen=True):
    """Texts (N), the characters of each one's last user turn, what is wanted of them, and the whole records, as they
    are written."""

    texts: list[str]
    turns: list[tuple[int, int]]
    wanted: list[AlignedExample]
    values: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def subset(self, rows: Sequence[int]) -> RecordSamples:
        def some(column: list[T]) -> list[T]:
            return [column[i] for i in rows]

        return RecordSamples(some(self.texts), some(self.turns), some(self.wanted), some(self.values))


class Row(NamedTuple):
    """One window of one example: token ids and codes with the special tokens, the places of the units (U) among them,
    and the wanted tags (U, G). Tags of fields whose value was not found in the text are `unknown`: (group, label)."""

    ids: list[int]
    codes: list[int]
    places: list[int]
    tags: NDArray[np.int64]
    unknown: tuple[tuple[int, int], ...]


class RowMaker:
    """Makes the rows of examples for one layout."""

    def __init__(self, reader: Reader, layout: Layout) -> None:
        self._reader, self._layout, self._places = reader, layout, layout.places

    def rows(self, samples: RecordSamples, index: int) -> list[Row]:
        wanted, turn = samples.wanted[index], samples.turns[index]
        pieces = self._reader.read(samples.texts[index], turn)
        tags = self._tags(pieces, wanted.spans)
        unknown = tuple(self._places[name] for name in wanted.unlocated if name in self._places)
        return [self._row(pieces, tags, unknown, window) for window in windows(len(pieces.ids), self._reader.most)]

    def _row(
        self, pieces: Pieces, tags: NDArray[np.int64], unknown: tuple[tuple[int, int], ...], window: Window
    ) -> Row:
        own = [u for u, place in enumerate(pieces.firsts) if window.first <= place < window.last]
        ids, codes = self._reader.framed(pieces, window)
        shift = self._reader.before - window.start
        return Row(ids, codes, [pieces.firsts[u] + shift for u in own], tags[own], unknown)

    def _tags(self, pieces: Pieces, spans: Sequence[tuple[str, int, int]]) -> NDArray[np.int64]:
        """Wanted tags (U, G) of a whole text."""
        found: list[list[tuple[int, int, int]]] = [[] for _ in self._layout.groups]
        for name, start, end in spans:
            group, label = self._places[name]
            touched = units_of(pieces.spans, start, end)
            if touched:
                found[group].append((label, *touched))
        tags = [tags_of(own, len(pieces.spans), len(labels)) for own, labels in zip(found, self._layout.groups)]
        return np.array(tags, dtype=np.int64).reshape(len(tags), len(pieces.spans)).T


def units_of(units: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """The units [first, last) that the characters [start, end) touch."""
    touched = [u for u, (a, b) in enumerate(units) if a < end and b > start]
    return (touched[0], touched[-1] + 1) if touched else None


def layout_of(tokenizer: Tokenizer, samples: RecordSamples, names: Sequence[str], window: int) -> Layout:
    """Groups of names whose spans never overlap, and whether spans keep to words."""
    fits = total = 0
    for text, wanted in zip(samples.texts, samples.wanted):
        if not wanted.spans:
            continue
        units = read_pieces(tokenizer, text, None, whole_words=True).spans
        starts, ends = {a for a, _ in units}, {b for _, b in units}
        fits += sum(a in starts and b in ends for _, a, b in wanted.spans)
        total += len(wanted.spans)
    return Layout(groups_of(samples, names), window, fits >= WHOLE_WORDS * total)


def groups_of(samples: RecordSamples, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Names in as few groups as greedy colouring finds (Welsh & Powell 1967), so that overlapping ones are apart."""
    foes: dict[str, set[str]] = {name: set() for name in names}
    for wanted in samples.wanted:
        for i, (name, _, end) in enumerate(wanted.spans):
            for other, start, _ in wanted.spans[i + 1 :]:
                if start >= end:
                    break
                if other != name:
                    foes[name].add(other)
                    foes[other].add(name)
    groups: list[list[str]] = []
    for name in sorted(names, key=lambda name: -len(foes[name])):
        home = next((group for group in groups if not foes[name].intersection(group)), None)
        if home is None:
            groups.append([name])
        else:
            home.append(name)
    return tuple(tuple(sorted(group)) for group in groups)
