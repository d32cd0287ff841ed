from __future__ import annotations

from pathlib import Path

from nanosmith.data.readers.passages import read


def test_paragraphs(tmp_path: Path) -> None:
    """Blank lines part paragraphs, each with the number of its first line."""
    path = tmp_path / "domain.txt"
    path.write_text("\n\nfirst line\nsecond line\n\n\nanother\n")
    found = read(path)
    assert [(e.answer, e.line) for e in found.examples] == [("first line\nsecond line", 3), ("another", 7)]
    assert found.rows == 2


def test_rows(tmp_path: Path) -> None:
    """JSON lines give their texts; a line without one is a problem."""
    path = tmp_path / "domain.jsonl"
    path.write_text('{"text": "one", "id": 3}\n\n{"title": "two"}\n{"text": "three"}\n')
    found = read(path)
    assert [(e.answer, e.line) for e in found.examples] == [("one", 1), ("three", 4)]
    assert [(p.code, p.line) for p in found.problems] == [("missing_text", 3)]


def test_an_empty_file_has_no_examples(tmp_path: Path) -> None:
    """Blank lines alone are no text."""
    (tmp_path / "domain.txt").write_text("\n \n")
    assert not read(tmp_path / "domain.txt").examples
