"""From files to JSON objects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanosmith.data.reading import Reading
from nanosmith.server.migration import objects as module
from nanosmith.server.migration.objects import first_problem, objects

A, B = {"id": "a"}, {"id": "b"}


def read(path: Path, content: str | bytes) -> tuple[list[tuple[int | None, dict[str, object]]], list[str]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    reading = Reading()
    found = [tuple(one) for one in objects(path, reading)]
    return found, [problem.code for problem in reading.problems]  # type: ignore[return-value]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([A, B]),
        json.dumps({"object": "list", "data": [A, B], "has_more": False}),
        json.dumps({"object": "list", "data": [A, B]}, indent=2),
        json.dumps({"data": [A, B], "has_more": False}, indent=2),
        json.dumps([{"data": [A]}, {"data": [B]}], indent=2),
        "\ufeff" + json.dumps([A, B]),
        f"{json.dumps(A)}\n\n{json.dumps(B)}",
    ],
    ids=["list", "page on one line", "page", "page without a name", "pages", "byte order mark", "lines"],
)
def test_forms(tmp_path: Path, content: str) -> None:
    """A list, a page, pages and JSON lines give the same objects."""
    found, problems = read(tmp_path / "f.json", content)
    assert [record for _, record in found] == [A, B]
    assert problems == []


def test_lines_are_numbered(tmp_path: Path) -> None:
    """Objects of JSON lines have the number of their line; lines that cannot be read become problems."""
    found, problems = read(tmp_path / "f.jsonl", f"oops\n{json.dumps(A)}\n[1]\n{json.dumps(B)}\n")
    assert found == [(2, A), (4, B)]
    assert problems == ["json_error", "not_an_object"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{\n  "id": "a"', "json_error"),
        ('[{"id": "a"},\n{"id": "b"}', "json_error"),
        ("text,label\na,b\n", "json_error"),
        ("[" * 20_000, "json_error"),
        (b'\xff\xfe{"id": "a"}', "not_utf8"),
        (b'{"id": "\xff"}\n', "not_utf8"),
        ('{"id": "' + "a" * 17 * 1024**2 + '"', "long_line"),
    ],
    ids=["cut document", "cut list", "CSV", "deep", "not text", "not UTF-8", "long line"],
)
def test_unreadable(tmp_path: Path, content: str | bytes, code: str) -> None:
    """What is no JSON gives a problem and no object."""
    assert read(tmp_path / "f", content) == ([], [code])


def test_long_document_on_one_line(tmp_path: Path) -> None:
    """A page on a line that is too long for JSON lines is read as a document."""
    found, problems = read(tmp_path / "f.json", json.dumps([A, {"text": "x" * 17 * 1024**2}]))
    assert (len(found), problems) == (2, [])


def test_large_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document above the limit is refused."""
    monkeypatch.setattr(module, "MAX_DOCUMENT_BYTES", 20)
    assert read(tmp_path / "f.json", json.dumps([A, B, A, B])) == ([], ["large_document"])


def test_first_problem(tmp_path: Path) -> None:
    """The first problem is told in words, with its line and how many follow."""
    path, reading = tmp_path / "f.jsonl", Reading()
    path.write_text(f"{json.dumps(A)}\noops\noops\n")
    list(objects(path, reading))
    told = first_problem(reading.problems)
    assert told.startswith("line 2: not JSON")
    assert "(and 1 more)" in told
