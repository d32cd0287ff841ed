"""The examples a model was made from, kept in the data folder so that it can be retrained without forgetting them.

FOLDER/DIGEST/train.jsonl   the training examples; DIGEST is that of the manifest's `data`
FOLDER/DIGEST/test.jsonl    those that were held out for the report: the model has not seen them

Lines are in the chat format, so that the files can be read as any data file; `line`, `weight`, `others` and
`probabilities` are our own keys.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import Damaged
from nanosmith.core.example import Example, Message
from nanosmith.core.task import Task
from nanosmith.data.dataset import Dataset
from nanosmith.store.atomic import atomic_file

TRAIN_FILE, TEST_FILE = "train.jsonl", "test.jsonl"


class Kept(msgspec.Struct, frozen=True):
    """`train` was trained on; `test` was not."""

    train: Dataset
    test: Dataset


class _Turn(msgspec.Struct, omit_defaults=True):
    """`weight` 0 marks an assistant's turn that is context."""

    role: str
    content: str
    weight: int = 1


class _Row(msgspec.Struct, omit_defaults=True):
    messages: list[_Turn]
    line: int
    weight: float = 1.0
    others: tuple[str, ...] = ()
    probabilities: dict[str, float] | None = None


def keep(folder: Path, digest: str, examples: Kept) -> None:
    """Write both files; those of an earlier model from the same examples are replaced. Raises StorageFull."""
    place = _place(folder, digest)
    _write(place / TEST_FILE, examples.test)
    _write(place / TRAIN_FILE, examples.train)  # last: where it is, both are


def find_kept(folder: Path, digest: str, task: Task) -> Kept | None:
    """The examples of the model with this data digest, None where they were not kept. Raises Damaged."""
    place = _place(folder, digest)
    if not (place / TRAIN_FILE).is_file():
        return None
    return Kept(_read(place / TRAIN_FILE, task), _read(place / TEST_FILE, task))


def forget(folder: Path, digest: str) -> None:
    """Remove the examples of a model that is no more."""
    shutil.rmtree(_place(folder, digest), ignore_errors=True)


def _place(folder: Path, digest: str) -> Path:
    """A digest comes from a bundle, which anybody may have written: what is none becomes one, so that it names no other
    folder."""
    is_digest = re.fullmatch("[0-9a-f]{64}", digest)
    return folder / (digest if is_digest else hashlib.sha256(digest.encode()).hexdigest())


def _write(path: Path, data: Dataset) -> None:
    encoder = msgspec.json.Encoder()
    with atomic_file(path) as file:
        for example in data.examples:
            turns = [_Turn(m.role, m.content, 0 if m.role == "assistant" else 1) for m in example.messages]
            soft = None if example.soft is None else dict(example.soft)
            row = _Row([*turns, _Turn("assistant", example.answer)], example.line, example.weight, example.others, soft)
            file.write(encoder.encode(row) + b"\n")


def _read(path: Path, task: Task) -> Dataset:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Row)
    try:
        rows = [decoder.decode(line) for line in path.read_bytes().splitlines()]
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged("the examples of the earlier model cannot be read", where=str(path), got=error,
                      remedy="Remove their folder, and name the old examples with --replay.") from error  # fmt: skip
    return Dataset(tuple(map(_example, rows)), task, source=path)


def _example(row: _Row) -> Example:
    *before, answer = row.messages
    messages = tuple(Message(turn.role, turn.content) for turn in before)
    return Example(messages, answer.content, row.line, row.weight, row.others, soft=row.probabilities)
