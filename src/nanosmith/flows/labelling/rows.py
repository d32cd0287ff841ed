"""The rows of the file that is made: a data file that `nanosmith tune` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.task import Task, Value
from nanosmith.data.unlabelled import Unlabelled
from nanosmith.store.atomic import atomic_file

KEYS = {"choice": "label", "labels": "labels"}


class Labelled(msgspec.Struct, frozen=True):
    """An input and its answer; `by` names the teachers."""

    given: Unlabelled
    value: Value
    probabilities: Mapping[str, float] | None
    by: str


def write_rows(path: Path, rows: Sequence[Labelled], task: Task) -> None:
    """As {"text", "label"} where every input is a text alone, else as conversations with the answer at their end."""
    plain = all(len(row.given.turns) == 1 and row.given.turns[0].role == "user" for row in rows)
    write = _plain if plain else _conversation
    with atomic_file(path) as file:
        for row in rows:
            content = write(row, task)
            if row.probabilities:
                content["probabilities"] = dict(sorted(row.probabilities.items(), key=lambda pair: -pair[1]))
            content["by"] = row.by
            file.write(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def _plain(row: Labelled, task: Task) -> dict[str, Any]:
    value: Any = row.value
    if task.kind == "record":
        value = json.loads(str(row.value))
    return {"text": row.given.turns[0].content, KEYS.get(task.kind, "output"): value}


def _conversation(row: Labelled, task: Task) -> dict[str, Any]:
    turns = [{"role": turn.role, "content": turn.content} for turn in row.given.turns]
    for turn in turns:
        if turn["role"] == "assistant":
            turn["weight"] = 0  # type: ignore[assignment]  # context, not to be learnt
    return {"messages": [*turns, {"role": "assistant", "content": task.render(row.value)}]}
