"""From the captured traffic of a route to examples: what its teacher answered, and what people corrected."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from nanosmith.core.example import Message
from nanosmith.data.dataset import Dataset
from nanosmith.data.load import load
from nanosmith.data.normal import normalise
from nanosmith.store.atomic import atomic_file
from nanosmith.store.captures import Capture

MOST = 10_000  # examples
CORRECTED, TAUGHT = 1.0, 0.5  # weights: what a person said counts double


class Lesson(msgspec.Struct, frozen=True):
    """One example of the captured traffic; `disagreed`: another model of the route answered something else."""

    messages: tuple[Message, ...]
    answer: str
    weight: float
    disagreed: bool = False


def lessons(captures: Iterable[Capture], most: int = MOST) -> list[Lesson]:
    """One for each input that the teacher answered, or whose answer was corrected; captures come newest first.

    Inputs that differ in case and punctuation alone are one. Corrections come first, then disagreements, then the
    newest; where there are more than `most`, all answers get an equal share as far as they go.
    """
    groups: dict[str, list[Capture]] = defaultdict(list)
    for one in captures:
        groups[key_of(one)].append(one)
    found = [lesson for group in groups.values() if (lesson := _lesson(group)) is not None]
    found.sort(key=lambda one: (-one.weight, not one.disagreed))
    return found if len(found) <= most else _balanced(found, most)


def key_of(one: Capture) -> str:
    """The same for inputs that differ in case and punctuation alone."""
    return normalise("\n".join(turn.content for turn in one.messages))


def write_lessons(path: Path, found: Sequence[Lesson]) -> None:
    """As a file in the chat format. Raises StorageFull."""
    with atomic_file(path) as file:
        for one in found:
            turns = [{"role": turn.role, "content": turn.content} for turn in one.messages]
            for turn in turns:
                if turn["role"] == "assistant":
                    turn["weight"] = 0  # type: ignore[assignment]  # context
            row = {"messages": [*turns, {"role": "assistant", "content": one.answer}]}
            file.write(msgspec.json.encode(row) + b"\n")


def as_dataset(found: Sequence[Lesson]) -> Dataset:
    """With the lessons' weights. Raises BadData where they cannot be learnt from."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "captured.jsonl"
        write_lessons(path, found)
        data = load(path)
    weighted = tuple(msgspec.structs.replace(one, weight=found[one.line - 1].weight) for one in data.examples)
    return Dataset(weighted, data.task, format=data.format, problems=data.problems, why=data.why)


def _lesson(group: list[Capture]) -> Lesson | None:
    """Of captures with the same input, newest first."""
    answers = {one.answer for one in group}
    for one in group:
        if one.correction is not None:
            return Lesson(one.messages, one.correction, CORRECTED, answers != {one.correction})
    for one in group:
        if one.is_last:
            return Lesson(one.messages, one.answer, TAUGHT, len(answers) > 1)
    return None


def _balanced(found: list[Lesson], most: int) -> list[Lesson]:
    """`most` of them: in turns the next of each answer."""
    turn_of: dict[str, int] = defaultdict(int)
    turns = []
    for place, one in enumerate(found):
        turns.append((turn_of[one.answer], place))
        turn_of[one.answer] += 1
    return [found[place] for _, place in sorted(sorted(turns)[:most], key=lambda pair: pair[1])]
