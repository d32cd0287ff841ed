"""The CSV reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.core.example import Message
from nanosmith.data.readers.csv import read
from nanosmith.data.reading import Reading


def read_bytes(folder: Path, content: bytes) -> Reading:
    path = folder / "data.csv"
    path.write_bytes(content)
    return read(path)


def codes(reading: Reading) -> list[tuple[str, int | None]]:
    return [(problem.code, problem.line) for problem in reading.problems]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_label(tmp_path: Path, start: bytes, end: bytes) -> None:
    """Rows are read with any line end, with and without BOM; blank lines are skipped; lines are those of the file."""
    rows = [b"Text,label,other", b'"a, ""b""\nc",x,1', b"", "ü,y,2".encode(), b""]
    reading = read_bytes(tmp_path, start + end.join(rows))
    found = [(example.messages[0].content, example.answer, example.line) for example in reading.examples]
    assert found == [('a, "b"\nc', "x", 2), ("ü", "y", 5)]
    assert (reading.problems, reading.declared, reading.rows) == ([], "choice", 2)


@pytest.mark.parametrize(
    ("cell", "answer"), [("a|b", '["a", "b"]'), ("a; b", '["a", "b"]'), ('"[""a,b""]"', '["a,b"]'), ("", "[]")]
)
def test_labels(tmp_path: Path, cell: str, answer: str) -> None:
    """Several labels stand in one cell, separated by | or ;, or as a JSON list."""
    reading = read_bytes(tmp_path, f"text,labels\nhi,{cell}\n".encode())
    assert [example.answer for example in reading.examples] == [answer]
    assert reading.declared == "labels"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_separators(tmp_path: Path, mark: str) -> None:
    """Columns are separated as the header separates `text` from the others."""
    content = f'"text"{mark}label\n"a,; \t""b"""{mark}x\nc d{mark}y\n'
    reading = read_bytes(tmp_path, content.encode())
    assert [(one.messages[0].content, one.answer) for one in reading.examples] == [('a,; \t"b"', "x"), ("c d", "y")]
    assert reading.problems == []


def test_context_and_id(tmp_path: Path) -> None:
    """`context` is the assistant's turn before the text, `id` must not repeat, and both may be blank."""
    reading = read_bytes(tmp_path, b"id,context,text,label\n1,Hello?,hi,a\n,,ho,b\n,,hu,b\n1,,he,b\n")
    assert reading.examples[0].messages == (Message("assistant", "Hello?"), Message("user", "hi"))
    assert [len(example.messages) for example in reading.examples] == [2, 1, 1]
    assert codes(reading) == [("duplicate_id", 5)]


def test_long_cell(tmp_path: Path) -> None:
    """A text of 200,000 characters is read; the csv module's own limit is lower."""
    reading = read_bytes(tmp_path, b"text,label\n" + b"x" * 200_000 + b",a\n")
    assert len(reading.examples[0].messages[0].content) == 200_000


@pytest.mark.parametrize("header", [b"text:label", b"words,label", b"text,text,label", b"text", b'"text'])
def test_bad_header(tmp_path: Path, header: bytes) -> None:
    """A header without the needed columns stops reading with one error, not with one for each row."""
    reading = read_bytes(tmp_path, header + b"\nhi,a\nho,b\n")
    assert len(reading.problems) == 1
    assert reading.problems[0].code in ("csv_header", "csv_error")
    assert reading.examples == []


def test_bad_rows(tmp_path: Path) -> None:
    """Rows with missing cells, broken quotes, bad lists or bytes that are not UTF-8 are each reported."""
    lines = [b"text,labels", b"hi,a", b"ho", b'"a"b,c', b"he,[1]", b"\xe9t\xe9,c", b"hi,a", b'hu,"c']
    reading = read_bytes(tmp_path, b"\n".join(lines))
    assert [example.line for example in reading.examples] == [2, 7]
    assert sorted(codes(reading)) == sorted(
        [("csv_columns", 3), ("csv_error", 4), ("bad_label", 5), ("not_utf8", 6), ("csv_error", 8)]
    )


def test_label_and_labels_columns(tmp_path: Path) -> None:
    """With both columns, each row may fill one of them only."""
    reading = read_bytes(tmp_path, b"text,label,labels\nhi,a,\nho,a,b\nhe,b,\n")
    assert [example.answer for example in reading.examples] == ["a", "b"]
    assert codes(reading) == [("two_label_keys", 3)]
