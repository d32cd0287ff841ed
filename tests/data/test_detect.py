"""Formats are recognised by content."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.data.detect import detect

CHAT = '{"messages": [{"role": "user", "content": "x"}]}'


def found(folder: Path, content: str | bytes, name: str = "data") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = detect(path)
    return result if isinstance(result, str) else result.code


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (CHAT, "chat"),
        ("\ufeff\r\n" + CHAT, "chat"),
        ('{"broken\n{"broken too\n' + CHAT, "chat"),
        ('{"text": "x", "label": "a"}', "jsonl"),
        ('{"text": "x"}', "jsonl"),
        ("text,label\n[x],a", "csv"),
        ('\n"id","Text","labels"\n', "csv"),
        ("text;label\nx;a", "csv"),
        ('{"prompt": "x", "completion": "a"}', "completions_format"),
        ('{"input": {}, "preferred_output": []}', "preference"),
        ('{"question": "x", "answer": "a"}', "unknown_format"),
        ("once upon a time", "unknown_format"),
        ("[" + CHAT + "]", "not_json_lines"),
        ('[\n  {"text": "x", "label": "a"}\n]', "not_json_lines"),
        ('{\n  "text": "x",\n  "label": "a"\n}', "not_json_lines"),
        ('{"messages": [', "chat"),
        ("\n\n", "chat"),
        (b"\xe9\n", "chat"),
    ],
)
def test_content(tmp_path: Path, content: str | bytes, format: str) -> None:
    """The first lines decide: a reader's name, or the code of what is wrong."""
    assert found(tmp_path, content) == format


def test_name_ending(tmp_path: Path) -> None:
    """The ending .csv decides only where the content does not."""
    assert found(tmp_path, "once,upon", "data.csv") == "csv"
    assert found(tmp_path, CHAT, "data.csv") == "chat"
