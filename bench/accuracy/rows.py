"""Rows of the sets: JSON lines with `text`, `label` or `labels`, and maybe `context`; or in the chat format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from nanosmith.core.example import Message
from nanosmith.core.task import Task, Value

Row: TypeAlias = dict[str, Any]
KEPT = ("text", "label", "labels", "context")
READ = Task("choice")  # how an encoder reads a conversation does not depend on the labels


def read(path: Path) -> list[Row]:
    lines = path.read_text(encoding="utf-8").split("\n")  # texts may hold other separators of lines
    return [_plain(json.loads(line)) for line in lines if line.strip()]


def _plain(record: Row) -> Row:
    """A row of the chat format with one question and one label, as our own BANKING77 has it, as a plain one."""
    if "messages" not in record:
        return record
    said = {message["role"]: message["content"] for message in record["messages"]}
    return {"text": said["user"], "label": said["assistant"]}


def write(path: Path, rows: Iterable[Row]) -> Path:
    lines = [
        json.dumps({key: row[key] for key in KEPT if row.get(key) is not None}, ensure_ascii=False) for row in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def given(row: Row) -> tuple[Message, ...]:
    """The conversation that is asked about; `context` is what the assistant said before the text."""
    before = (Message("assistant", row["context"]),) if row.get("context") else ()
    return (*before, Message("user", row["text"]))


def text(row: Row) -> str:
    """What every contender reads of the conversation."""
    return READ.text_of(given(row))


def wanted(row: Row) -> Value:
    return tuple(sorted(set(row["labels"]))) if "labels" in row else str(row["label"])


def labels_in(rows: Sequence[Row]) -> tuple[str, ...]:
    """All labels, sorted."""
    return tuple(sorted({label for row in rows for label in row.get("labels", [row.get("label")])}))
