"""Files as numbered lines and JSON objects, within limits."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core import limits
from nanosmith.data import lines, reading
from nanosmith.data.lines import decode_object, file_problem, json_objects, text_lines
from nanosmith.data.reading import BadLine, Reading


def written(folder: Path, content: bytes) -> Path:
    path = folder / "data"
    path.write_bytes(content)
    return path


def test_line_ends(tmp_path: Path) -> None:
    """LF, CRLF, a BOM, blank lines and a missing last line end are all fine; numbers are those of an editor."""
    path = written(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}\n{"a": 3}')
    got = Reading()
    assert list(json_objects(path, got)) == [(1, {"a": 1}), (4, {"a": 2}), (5, {"a": 3})]
    assert (got.problems, got.rows) == ([], 3)


def test_not_utf8(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are reported with line and byte, in the line and in the file; other lines are read."""
    got = Reading()
    found = list(json_objects(written(tmp_path, b'{"a": 1}\n{"a": "caf\xe9"}\n{"a": 2}\n'), got))
    assert [number for number, _ in found] == [1, 3]
    (problem,) = got.problems
    assert (problem.code, problem.line) == ("not_utf8", 2)
    assert "0xe9 at byte 11 of the line, byte 20 of the file" in problem.message


def test_json_error_deep_in_a_file(tmp_path: Path) -> None:
    """A JSON error at line 7,000 is reported with its line, its column in characters and what stands there."""
    rows = ['{"text": "ü", "label": "a"}'] * 8_000
    rows[6_999] = '{"text": "ü", label: "a"}'
    got = Reading()
    assert len(list(json_objects(written(tmp_path, "\n".join(rows).encode()), got))) == 7_999
    (problem,) = got.problems
    assert (problem.code, problem.line) == ("json_error", 7_000)
    assert "column 15" in problem.message
    assert "label" in problem.message


@pytest.mark.parametrize("text", ["{", '{"a": tru', "{'a': 1}", '{"a": 1,}', '{"a": NaN}', '{"a": 1} x', "1" * 5_000])
def test_json_errors(text: str) -> None:
    """Whatever is not JSON raises BadLine with a remedy."""
    with pytest.raises(BadLine, match="not JSON") as caught:
        decode_object(text)
    assert caught.value.code == "json_error"
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["[" * 500_000, '{"a":' * 500_000])
def test_nesting_bomb(text: str) -> None:
    """Half a million nested brackets are an error of the line, not a crash."""
    with pytest.raises(BadLine, match="nested too deeply"):
        decode_object(text)


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text is an object or a BadLine."""
    with suppress(BadLine):
        assert isinstance(decode_object(text), dict)


def test_long_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line above the limit is reported and skipped, and the lines after it keep their numbers."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 16)
    got = Reading()
    path = written(tmp_path, b"short\n" + b"x" * 50 + b"\n" + b"y" * 16 + b"\n" + b"z" * 17)
    assert [n for n, text in text_lines(path, got) if text is not None] == [1, 3]
    assert [(problem.code, problem.line) for problem in got.problems] == [("long_line", 2), ("long_line", 4)]


def test_too_many_problems_and_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading stops when there are too many problems or examples, and says so."""
    monkeypatch.setattr(reading, "MAX_PROBLEMS", 3)
    got = Reading()
    assert list(json_objects(written(tmp_path, b"x\n" * 10), got)) == []
    assert [problem.code for problem in got.problems] == ["json_error"] * 3 + ["many_problems"]
    monkeypatch.setattr(reading, "MAX_EXAMPLES", 0)
    got = Reading()
    assert list(json_objects(written(tmp_path, b"{}\n"), got)) == []
    assert [problem.code for problem in got.problems] == ["many_examples"]


BINARY = [b"PK\x03\x04rest", b"\x1f\x8brest", b"PAR1rest", '{"text": "x"}'.encode("utf-16"), b"a\0b"]


@pytest.mark.parametrize("content", BINARY)
def test_binary_files(tmp_path: Path, content: bytes) -> None:
    """Packed files, UTF-16 and anything with zero bytes are refused as a whole, with a remedy."""
    problem = file_problem(written(tmp_path, content))
    assert problem is not None
    assert problem.code == "binary_file"
    assert problem.remedy


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, empty and too large files, folders and pipes are told apart; nothing blocks."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(limits.MAX_FILE_BYTES + 1)
    (tmp_path / "empty").touch()
    found = {name: file_problem(tmp_path / name) for name in ("", "missing", "empty", "large", "pipe", "x" * 300)}
    assert [problem and problem.code for problem in found.values()] == [
        "folder", "missing_file", "empty_file", "large_file", "not_a_file", "unreadable_file",
    ]  # fmt: skip


def test_good_file(tmp_path: Path) -> None:
    """A text file has no problem as a whole."""
    assert file_problem(written(tmp_path, "{}ü".encode())) is None
