"""CoNLL and BIO files: a token and its tag on each line, sentences apart by blank lines.

Columns are separated by tabs or spaces; the first is the token, the last the tag: O, or B-, I-, E-, S- (also L-, U-)
and a label. IOB1, where I- begins an entity too, is read as well (Tjong Kim Sang & Veenstra 1999, "Representing Text
Chunks"). The text is the tokens with a space between them. Lines that begin with -DOCSTART-, and those that begin
with # and have no tag, are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.example import Example, Message
from nanosmith.data.lines import text_lines
from nanosmith.data.reading import BadLine, Reading

TAG = re.compile(r"O|[BIESLU]-\S.*")
DOCUMENT = "-DOCSTART-"
MOSTLY = 0.9  # share of the lines of a file's beginning that must have a token and a tag
Token = tuple[str, str]


def read(path: Path) -> Reading:
    """Read every sentence; its line is that of its first token."""
    reading = Reading()
    reading.declared, reading.answer_key = "record", "entities"
    tokens: list[Token] = []
    begin, is_bad = 0, False
    for line, text in text_lines(path, reading):
        if text is not None and (not text.strip() or text.startswith(DOCUMENT)):
            _finish(reading, tokens, begin, is_bad=is_bad)
            tokens, is_bad = [], False
            continue
        if text is not None and _is_comment(text):
            continue
        begin = begin if tokens or is_bad else line
        errors = len(reading.problems)
        with reading.line(line):
            tokens += [] if text is None else [_token(text)]
        is_bad = is_bad or text is None or len(reading.problems) > errors
    _finish(reading, tokens, begin, is_bad=is_bad)
    return reading


def looks_like(lines: Sequence[str]) -> bool:
    """Whether these lines, which are not blank, are tokens with tags."""
    told = [line for line in lines if not line.startswith(DOCUMENT) and not _is_comment(line)]
    tagged = sum(map(_is_tagged, told))
    return tagged > 0 and tagged >= MOSTLY * len(told)


def entities_of(tokens: Sequence[Token]) -> tuple[str, list[dict[str, Any]]]:
    """The text of a sentence and its entities."""
    text = " ".join(word for word, _ in tokens)
    found: list[dict[str, Any]] = []
    at, is_open = 0, False
    for word, tag in tokens:
        mark, _, label = tag.partition("-")
        if mark == "O":
            is_open = False
        elif mark in "IEL" and is_open and found[-1]["label"] == label:
            found[-1]["end"] = at + len(word)
            is_open = mark == "I"
        else:
            found.append({"label": label, "start": at, "end": at + len(word)})
            is_open = mark in "BI"
        at += len(word) + 1
    return text, [entity | {"text": text[entity["start"] : entity["end"]]} for entity in found]


def _is_comment(line: str) -> bool:
    """CoNLL-U's: a line that begins with # and has no tag."""
    return line.startswith("#") and not _is_tagged(line)


def _is_tagged(line: str) -> bool:
    cells = _cells(line)
    return len(cells) > 1 and TAG.fullmatch(cells[-1]) is not None


def _finish(reading: Reading, tokens: Sequence[Token], line: int, *, is_bad: bool) -> None:
    if not tokens and not is_bad:
        return
    reading.rows += 1
    if is_bad:
        return
    text, entities = entities_of(tokens)
    answer = msgspec.json.encode({"entities": entities}).decode()
    reading.examples.append(Example((Message("user", text),), answer, line))


def _token(text: str) -> Token:
    cells = _cells(text)
    if len(cells) < 2:
        message = f"there is no tag after the token (got {text[:80]!r})"
        raise BadLine("conll_columns", message, "Write a token, a tab, and its tag: O, B-label or I-label.")
    if not TAG.fullmatch(cells[-1]):
        message = f"not a tag (got {cells[-1][:80]!r}; allowed O, or B-, I-, E-, S- and a label)"
        raise BadLine("bad_tag", message, "Write the tag in the last column.")
    return cells[0], cells[-1]


def _cells(text: str) -> list[str]:
    cells = [cell.strip() for cell in text.split("\t")] if "\t" in text else text.split()
    return [cell for cell in cells if cell]
