"""Dataset: an ordered, digest-named set of Examples."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

from nanosmith.core.example import Example
from nanosmith.core.task import Task, Value
from nanosmith.data.problem import Problem


class Dataset:
    """Examples of one task, in the order of their file, and what was found wrong with them.

    `format` names the reader (chat, jsonl, csv); `why` says in sentences how the task was recognised.
    """

    def __init__(
        self,
        examples: tuple[Example, ...],
        task: Task,
        *,
        source: Path | None = None,
        format: str = "chat",
        problems: tuple[Problem, ...] = (),
        why: tuple[str, ...] = (),
    ) -> None:
        self.examples = examples
        self.task = task
        self.source = source
        self.format = format
        self.problems = problems
        self.why = why

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the examples' digests, in order."""
        return hashlib.sha256("".join(example.digest for example in self.examples).encode()).hexdigest()

    @cached_property
    def texts(self) -> list[str]:
        """What the encoder reads of each example (N)."""
        return [self.task.text_of(example.messages) for example in self.examples]

    @cached_property
    def values(self) -> list[Value]:
        """The wanted value of each example (N)."""
        return [self.task.parse(example.answer) for example in self.examples]

    def subset(self, indices: list[int]) -> Dataset:
        """The examples at these positions, in this order, with the same task."""
        return Dataset(tuple(self.examples[i] for i in indices), self.task, source=self.source, format=self.format)
