"""What a model is asked to do: the kind of answer, its labels, and how answers are written."""

from __future__ import annotations

import json
from typing import Literal, TypeAlias

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.example import Input, as_messages
from nanosmith.core.record import RecordForm, canonical

Kind: TypeAlias = Literal["choice", "labels", "record", "text"]
AnswerForm: TypeAlias = Literal["plain", "json_field", "json_list", "separated"]
Value: TypeAlias = str | tuple[str, ...]
"""An answer as a value: one label (choice), a sorted tuple of labels (labels), a JSON object as `canonical` text
(record), or the text itself (text)."""

SYSTEM_ROLES = ("system", "developer")


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked. Stored in every bundle.

    `labels` are sorted and unique. `form` says how the answer is written in the assistant's turn: `plain` text, one
    `field` of a JSON object, a JSON list, or labels joined by `separator`. A system prompt that was the same in all
    training examples carries no information: it is kept in `system`, which is empty where no example had one, and left
    out of the model's input. `record` is the form of a record's fields.
    """

    kind: Kind
    labels: tuple[str, ...] = ()
    form: AnswerForm = "plain"
    field: str | None = None
    separator: str | None = None
    system: str | None = None
    record: RecordForm | None = None

    def parse(self, answer: str) -> Value:
        """The value an assistant's answer stands for. Raises InputError where the form does not fit."""
        if self.kind == "text":
            return answer
        try:
            if self.kind == "record":
                return canonical(answer)
            found = self._split(answer)
            return found[0] if self.kind == "choice" else tuple(sorted(set(found)))
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise InputError(
                "the answer does not have the form of this task",
                got=repr(answer[:80]),
                allowed=self.form,
                remedy="Write all answers in one form, or override the task.",
            ) from error

    def render(self, value: Value) -> str:
        """The assistant's content for a value: the inverse of `parse`."""
        values = [value] if isinstance(value, str) else list(value)
        if self.form == "plain" or self.kind in ("record", "text"):
            return values[0]
        if self.form == "json_field":
            content = values[0] if self.kind == "choice" else values
            return json.dumps({self.field: content}, ensure_ascii=False)
        if self.form == "json_list":
            return json.dumps(values, ensure_ascii=False)
        return (self.separator or ", ").join(values)

    def _split(self, answer: str) -> list[str]:
        if self.form == "plain":
            return [answer.strip()]
        if self.form == "separated":
            separator = (self.separator or ",").strip(" ") or None  # a line break is a separator too
            return [part.strip() for part in answer.split(separator) if part.strip()]
        content = json.loads(answer)
        if self.form == "json_field":
            content = content[self.field]
        values = content if isinstance(content, list) else [content]
        if not all(isinstance(value, str) for value in values) or (self.kind == "choice" and len(values) != 1):
            raise ValueError("labels must be strings")
        return [str(value).strip() for value in values]

    def text_of(self, given: Input) -> str:
        """The text an encoder reads.

        A single user turn is its content, as it stands. Otherwise one `role: content` line per turn, newest first, so
        that truncation at the end drops the oldest turns; a varying system prompt comes last, a constant one is left
        out.
        """
        turns = [m for m in as_messages(given) if m.role not in SYSTEM_ROLES]
        prompts = [] if self.system is not None else [m for m in as_messages(given) if m.role in SYSTEM_ROLES]
        if len(turns) == 1 and not prompts and turns[0].role == "user":
            return turns[0].content
        return "\n".join(f"{m.role}: {m.content}" for m in (*reversed(turns), *prompts))

    def turn_start(self, given: Input) -> int:
        """Where the content of the last user turn begins in `text_of`: entities' offsets count from there."""
        turns = [m for m in as_messages(given) if m.role not in SYSTEM_ROLES]
        last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=len(turns) - 1)
        if turns and self.text_of(given) == turns[last].content:
            return 0
        return sum(len(f"{m.role}: {m.content}\n") for m in turns[last + 1 :]) + len("user: ")
