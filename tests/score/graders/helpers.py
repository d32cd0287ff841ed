"""What the tests of the graders share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from nanosmith.core.example import Message
from nanosmith.score.graders.grade import Answer, Context, Grade, SamplingParams, Tools
from nanosmith.score.graders.run import Grader, run, sample_of


class Echo:
    """A model that answers with the last message; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Message, ...], SamplingParams]] = []

    def __call__(self, model: str, messages: Sequence[Message], sampling: SamplingParams, /) -> Answer:
        self.asked.append((model, tuple(messages), sampling))
        return Answer(messages[-1].content, model, prompt_tokens=3, completion_tokens=1)


def context(item: dict[str, Any] | None = None, sample: str = "") -> Context:
    return Context(item or {}, sample_of(sample))


def grader(type: str, **fields: Any) -> Grader:
    """A grader as it comes with a request."""
    return msgspec.convert({"type": type, "name": "test"} | fields, Grader)


def grade(made: Grader, item: dict[str, Any] | None = None, sample: str = "", **tools: Any) -> Grade:
    return run(made, item or {}, sample_of(sample), Tools(**tools))
