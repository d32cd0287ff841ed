"""Texts without answers: what a teacher is asked about. Any data file is one; its answers are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.data.detect import detect
from nanosmith.data.lines import file_problem, json_objects, text_lines
from nanosmith.data.problem import Problem
from nanosmith.data.readers import conll, csv
from nanosmith.data.readers.chat import open_turns
from nanosmith.data.reading import Reading
from nanosmith.data.rows import turns_of

Add = Callable[[int, tuple[Message, ...]], None]


class Unlabelled(msgspec.Struct, frozen=True):
    """The turns of one input, and its 1-based line."""

    turns: tuple[Message, ...]
    line: int


class Texts(msgspec.Struct, frozen=True):
    """What a file holds, in its order; `problems` are of the lines that are left out."""

    inputs: tuple[Unlabelled, ...]
    problems: tuple[Problem, ...]


def read_unlabelled(path: Path) -> Texts:
    """JSON lines of texts or conversations, CSV with a `text` column, CoNLL, or plain text, one per line. Raises
    InputError where there is nothing to read."""
    damage = file_problem(path)
    if damage is not None:
        raise InputError(damage.message, where=str(path), remedy=damage.remedy, code="invalid_file")
    reading, found = Reading(), []

    def add(line: int, turns: tuple[Message, ...]) -> None:
        found.append(Unlabelled(turns, line))

    _READERS[_format(path)](path, reading, add)
    if not found:
        wrong = next(iter(reading.problems), None)
        raise InputError("the file holds no text to label", where=str(path), code="invalid_file",
                         got=wrong and f"line {wrong.line}: {wrong.message}",
                         remedy=wrong.remedy if wrong else None)  # fmt: skip
    return Texts(tuple(found), tuple(reading.problems))


def _format(path: Path) -> str:
    """A name of _READERS. What no reader of examples knows is plain text, unless its lines are JSON."""
    format = detect(path)
    first = next((text for _, text in text_lines(path, Reading()) if text and text.strip()), "")
    if isinstance(format, Problem):
        if _is_json(first.strip()):
            raise InputError(format.message, where=str(path), remedy=format.remedy, code="invalid_file")
        return "lines"
    if format == "csv":
        header = [name.strip().lower() for name in first.split(",")]
        return "csv" if path.suffix.lower() == ".csv" or "text" in header else "lines"
    if format == "conll":
        return "conll"
    return "objects" if first.lstrip().startswith("{") else "lines"


def _is_json(line: str) -> bool:
    """Whether a line begins a JSON document: "[urgent] …" is text."""
    return line.startswith("{") or line == "[" or (line.startswith("[") and line[1:].lstrip()[:1] in ("{", '"', "]"))


def _read_objects(path: Path, reading: Reading, add: Add) -> None:
    for line, record in json_objects(path, reading):
        with reading.line(line):
            add(line, _turns_of_object(record))


def _turns_of_object(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Raises BadLine."""
    if "messages" in record:
        return open_turns(record)
    asked = record.get("input")
    if isinstance(asked, dict) and "messages" in asked:  # of preferences
        return open_turns(asked)
    return turns_of(record)


def _read_csv(path: Path, reading: Reading, add: Add) -> None:
    for line, row in csv.rows(path, reading, labelled=False):
        with reading.line(line):
            add(line, turns_of(row))


def _read_conll(path: Path, reading: Reading, add: Add) -> None:
    found = conll.read(path)
    reading.problems += found.problems
    for example in found.examples:
        add(example.line, example.messages)


def _read_lines(path: Path, reading: Reading, add: Add) -> None:
    for line, text in text_lines(path, reading):
        if text is not None and text.strip():
            add(line, (Message("user", text.strip()),))


_READERS: dict[str, Callable[[Path, Reading, Add], None]] = {
    "objects": _read_objects, "csv": _read_csv, "conll": _read_conll, "lines": _read_lines,
}  # fmt: skip
