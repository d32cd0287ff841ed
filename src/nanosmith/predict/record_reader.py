"""What a record model reads of an input: its text, cut into pieces, and these into windows with special tokens."""

from __future__ import annotations

from tokenizers import Tokenizer

from nanosmith.core.example import Input, as_messages
from nanosmith.core.task import Task
from nanosmith.predict.pieces import PLAIN, Pieces, Window, read_pieces
from nanosmith.predict.record_layout import Layout


class Reader:
    """Turns texts into pieces, and windows of them into what the graph takes."""

    def __init__(self, tokenizer: Tokenizer, layout: Layout) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer, self._whole_words = tokenizer, layout.whole_words
        special = tokenizer.encode("").ids
        self._first, self._last = special[:1], special[1:]
        self.before = len(self._first)
        self.most = layout.window - len(special)

    def read(self, text: str, turn: tuple[int, int] | None) -> Pieces:
        return read_pieces(self._tokenizer, text, turn, whole_words=self._whole_words)

    def framed(self, pieces: Pieces, window: Window) -> tuple[list[int], list[int]]:
        """Ids and codes of a window's pieces, between special tokens."""
        ids = [*self._first, *pieces.ids[window.start : window.end], *self._last]
        codes = pieces.codes[window.start : window.end]
        return ids, [PLAIN] * len(self._first) + codes + [PLAIN] * len(self._last)


def turn_of(task: Task, given: Input) -> tuple[str, tuple[int, int]]:
    """What the model reads, and the characters [start, end) of its last user turn."""
    messages = as_messages(given)
    text, start = task.text_of(messages), task.turn_start(messages)
    content = next((turn.content for turn in reversed(messages) if turn.role == "user"), text)
    return text, (start, min(len(text), start + len(content)))
