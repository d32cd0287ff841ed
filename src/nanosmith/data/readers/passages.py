"""Plain text of a domain: paragraphs between blank lines, or JSON lines of `{"text": "…"}`; other keys are ignored."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from nanosmith.core.example import Example, Message
from nanosmith.data.lines import decode_object, text_lines
from nanosmith.data.reading import BadLine, Reading


def read(path: Path) -> Reading:
    """Each paragraph, or text, is an Example whose answer and input it is."""
    reading = Reading()
    lines = text_lines(path, reading)
    first = next(((number, text) for number, text in lines if text and text.strip()), None)
    if first is None:
        return reading
    rest = chain([first], lines)
    if first[1] and first[1].lstrip().startswith('{"'):
        _read_objects(reading, rest)
    else:
        _read_paragraphs(reading, rest)
    return reading


def _read_objects(reading: Reading, lines: chain[tuple[int, str | None]]) -> None:
    for number, line in lines:
        if line is None or line.strip():
            reading.rows += 1
        with reading.line(number):
            if line and line.strip():
                _add(reading, decode_object(line).get("text"), number)


def _read_paragraphs(reading: Reading, lines: chain[tuple[int, str | None]]) -> None:
    paragraph: list[str] = []
    first = 0
    for number, line in chain(lines, [(0, "")]):
        if line and line.strip():
            first = first if paragraph else number
            paragraph.append(line)
        elif paragraph:
            reading.rows += 1
            _add(reading, "\n".join(paragraph), first)
            paragraph = []


def _add(reading: Reading, text: object, line: int) -> None:
    """Raises BadLine."""
    if not isinstance(text, str) or not text.strip():
        raise BadLine("missing_text", "there is no `text`", "Write a string under the key `text`, or remove the line.")
    reading.examples.append(Example((Message("user", text),), text, line))
