"""Messages and Examples: one input, its wanted answer, and where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec


class Message(msgspec.Struct, frozen=True):
    """One turn. `role` is system, developer, user, assistant, tool or function; developer counts as system."""

    role: str
    content: str


Input: TypeAlias = str | Sequence[Message]
"""What a Predictor accepts: a plain text (one user turn) or the turns of a conversation, oldest first."""


class Example(msgspec.Struct, frozen=True):
    """One training or test example.

    `messages` are the turns before the answer, oldest first; `answer` is the wanted assistant content, verbatim;
    `line` is the 1-based line (or CSV row) in the source file; `weight` in [0, 1] scales its loss. `others` are further
    answers that are as good (references of a generated text), `rejected` is one that is worse (a preference). `soft`
    has a teacher's probability per label, in [0, 1].
    """

    messages: tuple[Message, ...]
    answer: str
    line: int
    weight: float = 1.0
    others: tuple[str, ...] = ()
    rejected: str | None = None
    soft: Mapping[str, float] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of input and answer; equal content has an equal digest, wherever it stands."""
        content: tuple[object, ...] = ([[m.role, m.content] for m in self.messages], self.answer)
        content += () if self.rejected is None else (self.rejected,)
        content += () if self.soft is None else (sorted(self.soft.items()),)
        return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def as_messages(given: Input) -> tuple[Message, ...]:
    """The turns of an input; a plain text becomes one user turn."""
    return (Message("user", given),) if isinstance(given, str) else tuple(given)
