"""What `predict` answers: arguments, a file or stdin, as plain texts, JSONL texts or conversations."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import msgspec

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.example import Input, Message

STDIN = "-"
PEEK_LINES = 20
TABLES = (".csv", ".tsv")
BOM = b"\xef\xbb\xbf"
FORMS = '{"text": "…"} or {"messages": [{"role": "user", "content": "…"}, …]}'

Numbered: TypeAlias = tuple[int | None, Input | InputError]
"""A 1-based line of a file (None for an argument) with its input, or with what is wrong there."""


class _Row(msgspec.Struct):
    """One line of JSONL, as in a data file; other fields (a label) are ignored."""

    text: str | None = None
    context: str | None = None
    requested: list[str] | None = None
    messages: list[Any] | None = None


def from_arguments(texts: Sequence[str]) -> Iterator[Numbered]:
    """Every argument is one text. Bytes that are not UTF-8 reach Python as lone surrogates."""
    for text in texts:
        try:
            text.encode()
            yield None, text
        except UnicodeEncodeError:
            yield None, InputError("the text is not UTF-8", got=repr(text[:80]))


def from_file(path: str) -> Iterator[Numbered]:
    """Every line that is not blank, with its number; "-" is stdin.

    It is JSONL when more than half of the first 20 lines start with "{"; otherwise each line is one text. An answer
    at the end of a conversation is left out, so that training files can be read; so can files called .csv or .tsv whose
    header names a column `text`. Raises NotFound, InputError.
    """
    if Path(path).suffix.lower() in TABLES and _has_header(path):
        yield from _from_table(Path(path))
        return
    with _open(path) as file:
        numbered = enumerate(file, start=1)
        lines = ((n, (line.removeprefix(BOM) if n == 1 else line).strip()) for n, line in numbered)
        filled = ((n, line) for n, line in lines if line)
        first = list(itertools.islice(filled, PEEK_LINES))
        is_jsonl = 2 * sum(line.startswith(b"{") for _, line in first) > len(first)
        for n, line in itertools.chain(first, filled):
            try:
                yield n, _parse(line) if is_jsonl else _decode(line)
            except InputError as error:
                yield n, error


def _has_header(path: str) -> bool:
    with _open(path) as file:
        names = re.split(rb"[,;\t]", file.readline().removeprefix(BOM).lower())
    return b"text" in (name.strip(b' \r\n"') for name in names)


def _from_table(path: Path) -> Iterator[Numbered]:
    """Rows of a CSV file, and errors in their places."""
    from nanosmith.data.readers.csv import rows
    from nanosmith.data.reading import Reading

    reading, told = Reading(), 0
    for line, row in itertools.chain(rows(path, reading, labelled=False), [(None, None)]):
        for problem in reading.problems[told:]:
            yield problem.line, InputError(problem.message, remedy=problem.remedy)
        told = len(reading.problems)
        if row is not None:
            yield line, _with_context(_Row(context=row.get("context")), row["text"])


def _parse(line: bytes) -> Input:
    try:
        row = msgspec.json.decode(line, type=_Row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the line cannot be read: {error}", allowed=FORMS) from error
    if row.text is not None:
        return _with_context(row, row.text)
    if not row.messages:
        raise InputError("the line has nothing to answer", allowed=FORMS)
    return _turns(row.messages)


def _turns(messages: list[Any]) -> Input:
    """What a conversation asks, as in a data file."""
    from nanosmith.data.readers.chat import open_turns
    from nanosmith.data.reading import BadLine

    try:
        return open_turns({"messages": messages})
    except BadLine as error:
        raise InputError(f"the line cannot be read: {error.message}", allowed=FORMS, remedy=error.remedy) from error


def _with_context(row: _Row, text: str) -> Input:
    """The text behind the previous turn, and behind the question for the slots that were asked for."""
    question = ", ".join(row.requested) + "?" if row.requested else None
    before = [Message("assistant", one) for one in (row.context, question) if one and one.strip()]
    return (*before, Message("user", text)) if before else text


def _decode(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            "the line is not UTF-8", got=f"byte 0x{line[error.start]:02x}", remedy="Save the file as UTF-8."
        ) from error


@contextmanager
def _open(path: str) -> Iterator[BinaryIO]:
    if path == STDIN:
        yield sys.stdin.buffer
        return
    if not Path(path).exists():
        raise NotFound("no such file", where=path)
    if Path(path).is_dir():
        raise InputError("this is a folder", where=path, allowed="a file")
    with Path(path).open("rb") as file:
        yield file
