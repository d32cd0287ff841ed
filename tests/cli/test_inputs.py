"""What `predict` reads: arguments, text lines, JSONL and conversations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.cli.inputs import from_arguments, from_file
from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.example import Message


def read(path: Path, content: bytes) -> list[object]:
    path.write_bytes(content)
    return [given for _, given in from_file(str(path))]


def test_plain_lines(tmp_path: Path) -> None:
    """A file of plain lines gives one text per line that is not blank, with the numbers of the lines."""
    path = tmp_path / "texts"
    path.write_bytes(b"\xef\xbb\xbffirst\r\n\n  \nf\xc3\xbcnf")
    assert list(from_file(str(path))) == [(1, "first"), (4, "fünf")]


def test_jsonl_texts(tmp_path: Path) -> None:
    """JSONL gives the value of "text"; a label beside it is ignored."""
    assert read(tmp_path / "f", b'{"text": "a\\nb", "label": "x"}\n{"text": ""}\n') == ["a\nb", ""]


def test_conversations(tmp_path: Path) -> None:
    """A chat line gives its turns without the answer at their end."""
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    line = json.dumps({"messages": [*turns, {"role": "assistant", "content": "answer", "weight": 1}]}).encode()
    assert read(tmp_path / "f", line) == [(Message("system", "s"), Message("user", "u"))]


def test_conversations_of_training_files(tmp_path: Path) -> None:
    """Texts in parts and calls of functions are read as in training, and a call at the end is left out."""
    call = {"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    parts = [{"type": "text", "text": "u"}, {"type": "text", "text": "v"}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    last = {"role": "user", "content": "w"}
    assert read(tmp_path / "f", json.dumps({"messages": turns}).encode()) == [(Message("user", "u\nv"),)]
    asked = (Message("user", "u\nv"), Message("assistant", '{"a":1}'), Message("user", "w"))
    assert read(tmp_path / "f", json.dumps({"messages": [*turns, last, turns[1]]}).encode()) == [asked]


@pytest.mark.parametrize("mark", [b",", b";", b"\t"])
def test_tables(tmp_path: Path, mark: bytes) -> None:
    """The texts of a CSV file with a header are read, and a row that cannot be is an error in its place."""
    rows = [b"\xef\xbb\xbflabel,Text,context", b'x,"a ""b""\nc",', b"x", b"y,d,before", b""]
    (tmp_path / "f.csv").write_bytes(b"\r\n".join(row.replace(b",", mark) for row in rows))
    (one, text), (two, error), (three, turns) = from_file(str(tmp_path / "f.csv"))
    assert (one, text) == (2, 'a "b"\nc')
    assert two == 4
    assert isinstance(error, InputError)
    assert (three, turns) == (5, (Message("assistant", "before"), Message("user", "d")))


def test_a_table_without_a_header(tmp_path: Path) -> None:
    """Its lines are texts."""
    (tmp_path / "f.csv").write_text("hello, you\nbye\n")
    assert list(from_file(str(tmp_path / "f.csv"))) == [(1, "hello, you"), (2, "bye")]


@pytest.mark.parametrize(
    "bad",
    [
        b"not json",
        b'{"text": 1}',
        b'{"other": "x"}',
        b'{"messages": []}',
        b'{"messages": [{"role": "assistant", "content": "only an answer"}]}',
        b'{"messages": [{"role": "user"}]}',
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b'{"messages": ' + b"[" * 100_000,
    ],
)
def test_bad_line_among_good_ones(tmp_path: Path, bad: bytes) -> None:
    """A line that cannot be read is an error in its place; the lines around it are read."""
    before, error, after = read(tmp_path / "f", b'{"text": "a"}\n' + bad + b'\n{"text": "b"}\n')
    assert (before, after) == ("a", "b")
    assert isinstance(error, InputError)


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    """A plain line or an argument that is not UTF-8 is an error in its place."""
    assert [type(given) for given in read(tmp_path / "f", b"good\n\xff\n")] == [str, InputError]
    assert [type(given) for _, given in from_arguments(["good", "\udcff"])] == [str, InputError]


def test_absent_file_and_folder(tmp_path: Path) -> None:
    """A file that does not exist, or is a folder, is an error that names it."""
    with pytest.raises(NotFound, match="absent"):
        list(from_file(str(tmp_path / "absent")))
    with pytest.raises(InputError, match=tmp_path.name):
        list(from_file(str(tmp_path)))


@given(texts=st.lists(st.text(), max_size=40))
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """Whatever texts JSON can hold come back as they were, in order."""
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    path = tmp_path_factory.getbasetemp() / "round-trip.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert [given for _, given in from_file(str(path))] == texts
