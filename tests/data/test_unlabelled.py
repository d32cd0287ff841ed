"""Texts without answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.data.unlabelled import read_unlabelled

USER = Message("user", "hi there")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "hi there\n\n"),
        ("a.txt", "[urgent] printer\nhi there\n"),
        ("a.jsonl", '{"text": "hi there"}\n'),
        ("a.jsonl", '{"text": "hi there", "label": "greeting"}\n'),
        ("a.jsonl", '{"text": "hi there", "labels": []}\n'),
        ("a.jsonl", '{"text": "hi there", "output": {"n": 1}}\n'),
        ("a.jsonl", '{"messages": [{"role": "user", "content": "hi there"}]}\n'),
        ("a.jsonl", '{"messages": [{"role": "user", "content": "hi there"}, {"role": "assistant", "content": "x"}]}\n'),
        ("a.csv", "text\nhi there\n"),
        ("a.csv", "id,text,label\n1,hi there,greeting\n"),
        ("a.csv", 'note,text\nx,"hi there"\n'),
        ("a.conll", "hi O\nthere O\n"),
        ("a.jsonl", '{"input": {"messages": [{"role": "user", "content": "hi there"}]}, "preferred_output": [], '
         '"non_preferred_output": []}\n'),
    ],
)  # fmt: skip
def test_every_form_is_read(tmp_path: Path, name: str, content: str) -> None:
    """Lines, rows with and without answers, conversations, CSV, CoNLL and preferences; answers are left out."""
    path = tmp_path / name
    path.write_text(content)
    found = read_unlabelled(path)
    assert found.inputs[-1].turns == (USER,)
    assert found.problems == ()


def test_context_and_lines(tmp_path: Path) -> None:
    """What stands before a text goes along, and lines are counted from 1 with the blank ones."""
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"text": "hi there", "context": "Hello?", "requested": ["time"]}\n\n{"text": "hi there"}\n')
    first, second = read_unlabelled(path).inputs
    assert first.turns == (Message("assistant", "Hello?"), Message("assistant", "time?"), USER)
    assert (first.line, second.line) == (2, 4)


def test_wrong_lines_are_left_out(tmp_path: Path) -> None:
    """A line without a text is a problem of its own; the others are read."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "hi there"}\n{"text": 3}\n{"text": " "}\nnonsense\n{"messages": []}\n')
    found = read_unlabelled(path)
    assert len(found.inputs) == 1
    assert [(one.code, one.line) for one in found.problems] == [
        ("missing_text", 2), ("empty_text", 3), ("json_error", 4), ("no_messages", 5)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", b""), ("a.txt", b"\n \n"), ("a.jsonl", b'[{"text": "a"}]\n'), ("a.jsonl", b'{"question": "a"}\n'),
     ("a.csv", b"note\nx\n"), ("a.txt", b"PK\x03\x04"), ("a.txt", "hi".encode("utf-16"))],
)  # fmt: skip
def test_files_without_texts(tmp_path: Path, name: str, content: bytes) -> None:
    """What holds no text is refused with the reason."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_unlabelled(path)
    assert str(path) in str(caught.value)


def test_absent_file(tmp_path: Path) -> None:
    """A file that is not there is told by its name."""
    with pytest.raises(InputError, match=r"absent\.txt"):
        read_unlabelled(tmp_path / "absent.txt")
