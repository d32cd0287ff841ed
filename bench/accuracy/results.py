"""The results as JSON lines: one per training and its tests, appended; what is there is not run again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Result: TypeAlias = dict[str, Any]


class Key(NamedTuple):
    """What a result is of. `budget` is None where there was none."""

    set: str
    shots: str
    contender: str
    seed: int
    version: str
    budget: str | None

    @classmethod
    def of(cls, result: Result) -> Key:
        return cls(*(result[name] for name in cls._fields))


def read(path: Path) -> list[Result]:
    """All results so far; the last line may be half a line, from a run that was killed, and is then left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[-1]:
        path.write_text("\n".join([*lines[:-1], ""]), encoding="utf-8")
    return [json.loads(line) for line in lines[:-1]]


def append(path: Path, result: Result) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result, ensure_ascii=False) + "\n")


def newest(results: Iterable[Result]) -> dict[tuple[str, str, str], list[Result]]:
    """By set, shots and contender, the results of the version and budget that were measured last."""
    groups: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        group = groups[result["set"], result["shots"], result["contender"]]
        if group and (group[-1]["version"], group[-1]["budget"]) != (result["version"], result["budget"]):
            group.clear()
        group.append(result)
    return dict(groups)
