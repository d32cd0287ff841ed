"""One pass over all files: what is there, before anything is decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from nanosmith.core.watch import Watch
from nanosmith.data.lines import file_problem
from nanosmith.data.reading import Reading
from nanosmith.server.migration.objects import Object, first_problem, objects
from nanosmith.server.migration.recognise import STAYS, WHOLE_FILE, Kind, completion_of, kind_of, refusal, stays_as
from nanosmith.server.migration.sources import Source

NOT_SUPPORTED = "it is not recognised as anything that can be imported"
STAGE = "reading"


class DataFile(NamedTuple):
    """A file of lines of one kind; `refused` says why it cannot be used."""

    source: Source
    kind: Kind
    refused: str | None = None


class Taken(NamedTuple):
    """An object of the API, and the file that it stands in."""

    source: Source
    line: int | None
    record: dict[str, Any]


class Left(NamedTuple):
    """What does not come along: objects of a file, or (`what` is empty) the file. `is_wrong`: somebody may want to put
    it right."""

    source: Source
    what: str
    why: str
    is_wrong: bool = False


class Scan(msgspec.Struct):
    """`messages` are those of stored completions by the completion's id, in their order; `completions` the files that
    hold some, which are read again, and `completion_count` how many."""

    data: list[DataFile] = []
    jobs: list[Taken] = []
    evals: list[Taken] = []
    files: list[Taken] = []
    completions: list[Source] = []
    completion_count: int = 0
    messages: dict[str, list[dict[str, Any]]] = {}
    left: list[Left] = []


def scan(sources: Sequence[Source], watch: Watch) -> Scan:
    found = Scan()
    for done, source in enumerate(sources, start=1):
        problem = file_problem(source.path) if source.why_not is None else None
        why_not = f"{problem.message}. {problem.remedy}" if problem else source.why_not
        if why_not:
            found.left.append(Left(source, "", why_not, is_wrong=True))
        else:
            _scan_file(source, found)
        watch.progress(STAGE, done, len(sources))
    return found


def _scan_file(source: Source, found: Scan) -> None:
    reading = Reading()
    stream = objects(source.path, reading)
    first = next(stream, None)
    if first is None:
        why = first_problem(reading.problems) if reading.problems else NOT_SUPPORTED
        found.left.append(Left(source, "", why, is_wrong=True))
        return
    kind = kind_of(first.record)
    if kind in WHOLE_FILE:
        found.data.append(DataFile(source, kind, refusal(first.record)))
        return
    stays: Counter[str] = Counter()
    for one in chain([first], stream):
        _take(source, one, found, stays)
    _tell_left(source, stays, found)
    if reading.problems:
        found.left.append(Left(source, "lines", first_problem(reading.problems), is_wrong=True))


def _take(source: Source, one: Object, found: Scan, stays: Counter[str]) -> None:
    kind = kind_of(one.record)
    if kind == "completion":
        found.completion_count += 1
        if source not in found.completions[-1:]:
            found.completions.append(source)
    elif kind == "message":
        found.messages.setdefault(str(completion_of(one.record)), []).append(one.record)
    elif kind in ("job", "eval", "file"):
        {"job": found.jobs, "eval": found.evals, "file": found.files}[kind].append(Taken(source, *one))
    else:
        stays[stays_as(one.record) or ""] += 1


def _tell_left(source: Source, stays: Counter[str], found: Scan) -> None:
    for name, count in stays.items():
        what, why = STAYS.get(name, ("objects", NOT_SUPPORTED))
        found.left.append(Left(source, f"{what} ({count:,})", why, is_wrong=not name))
