"""Reading: what a reader collects from a file, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nanosmith.core.example import Example
from nanosmith.core.limits import MAX_EXAMPLES, MAX_PROBLEMS
from nanosmith.core.task import Kind
from nanosmith.data.problem import Problem


class BadLine(Exception):
    """A line that cannot be used; `Reading.line` makes it an error Problem."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy


class Reading:
    """Examples and Problems in the order of the file.

    `rows` counts the lines that hold something, good or bad. `declared` is the kind that the keys of a plain file name
    (`label`: choice, answers as they stand; `labels`: labels, answers as JSON lists; `entities`: record, answers as
    JSON objects); None where the answers decide. `answer_key` is the key of the answers of a plain file. `function`
    names the function that all answers of a chat file call, `schema` is the JSON schema that the lines name.
    """

    def __init__(self) -> None:
        self.examples: list[Example] = []
        self.problems: list[Problem] = []
        self.rows = 0
        self.declared: Kind | None = None
        self.answer_key: str | None = None
        self.function: str | None = None
        self.schema: dict[str, Any] | None = None
        self._line_of_id: dict[str, int] = {}

    @contextmanager
    def line(self, line: int) -> Iterator[None]:
        """A BadLine raised inside becomes the Problem of this line."""
        try:
            yield
        except BadLine as bad:
            self.problems.append(Problem("error", bad.code, bad.message, line, bad.remedy))

    def warn(self, code: str, message: str, line: int, remedy: str) -> None:
        self.problems.append(Problem("warning", code, message, line, remedy))

    def claim_id(self, id: object, line: int) -> None:
        """Keep the row's `id` (None: it has none). Raises BadLine where it is taken or of a wrong type."""
        if id is None:
            return
        if not isinstance(id, str | int):
            raise BadLine("bad_id", f"`id` is {json_type(id)}", "Write a string or a whole number, or leave it out.")
        first = self._line_of_id.setdefault(str(id), line)
        if first != line:
            message = f"lines {first} and {line} have the same `id` {str(id)[:80]!r}"
            raise BadLine("duplicate_id", message, "Give every line its own `id`, or remove the repeated line.")

    def is_full(self, line: int) -> bool:
        """Whether reading must stop before this line, so that memory stays bounded; then a Problem says so."""
        if len(self.problems) >= MAX_PROBLEMS:
            message = f"reading stopped after {MAX_PROBLEMS:,} problems"
            self.problems.append(Problem("error", "many_problems", message, line, "Solve those, then check again."))
            return True
        if len(self.examples) >= MAX_EXAMPLES:
            message = f"reading stopped: the file holds more than {MAX_EXAMPLES:,} examples"
            self.problems.append(Problem("error", "many_examples", message, line, "Use a sample of the lines."))
            return True
        return False


JSON_TYPES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def json_type(value: object) -> str:
    """The type of a decoded JSON value, in words."""
    return JSON_TYPES.get(type(value), "null")
