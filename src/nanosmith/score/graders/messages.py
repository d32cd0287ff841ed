"""The messages that a grader sends to a model: OpenAI's eval items, with templates in their texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from nanosmith.core.example import Message
from nanosmith.core.limits import MAX_INPUT_CHARS, MAX_MESSAGES
from nanosmith.score.graders.grade import Context, Template, unsupported
from nanosmith.score.graders.template import check_chars, check_template, fill

TEXT_PARTS = ("input_text", "output_text")


class Part(msgspec.Struct, frozen=True):
    """A text; or something else, which is refused."""

    type: str
    text: Template | None = None


Content: TypeAlias = Template | Part | Annotated[list[Template | Part], Meta(max_length=MAX_MESSAGES)]


class EvalItem(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant", "system", "developer"]
    content: Content
    type: Literal["message"] = "message"


Items: TypeAlias = Annotated[list[EvalItem], Meta(min_length=1, max_length=MAX_MESSAGES)]


def refuse_items(items: Sequence[EvalItem], where: str) -> None:
    """Raises InputError for images, audio and other parts that are not text."""
    for path, part in _parts(items, where):
        if isinstance(part, Part) and (part.type not in TEXT_PARTS or part.text is None):
            raise unsupported(
                f"a part of type {part.type[:80]!r} cannot be graded here",
                path,
                "Give a text: input_text or output_text.",
            )


def check_items(items: Sequence[EvalItem], where: str) -> None:
    """Raises GradingError for a template that cannot be read."""
    for path, text in texts(items, where):
        check_template(text, path)


def texts(items: Sequence[EvalItem], where: str) -> Iterator[tuple[str, str]]:
    """Each template, with its path in the request."""
    return ((path, _text(part)) for path, part in _parts(items, where))


def fill_items(items: Sequence[EvalItem], context: Context) -> tuple[Message, ...]:
    """The turns for the model; the parts of one message are joined by line breaks. Raises GradingError."""
    filled = []
    chars = 0
    for item in items:
        texts = []
        for part in _listed(item.content):
            texts.append(fill(_text(part), context))
            chars += len(texts[-1])
            check_chars(chars, MAX_INPUT_CHARS)
        filled.append(Message(item.role, "\n".join(texts)))
    return tuple(filled)


def _parts(items: Sequence[EvalItem], where: str) -> Iterator[tuple[str, str | Part]]:
    for i, item in enumerate(items):
        for part in _listed(item.content):
            yield f"{where}[{i}].content", part


def _listed(content: Content) -> Sequence[str | Part]:
    return content if isinstance(content, list) else [content]


def _text(part: str | Part) -> str:
    return part if isinstance(part, str) else part.text or ""
