"""`nanosmith check`: what a data file holds, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from nanosmith.core.task import Task
    from nanosmith.data.dataset import Dataset
    from nanosmith.data.load import Inspection
    from nanosmith.data.problem import Problem

SHOWN_LINES = 20  # of one code


def check(
    file: Annotated[Path, typer.Argument(help="Examples: chat-format or plain JSONL, CSV, CoNLL.")],
    test: Annotated[Path | None, typer.Option(help="Held-out examples, compared with FILE.")] = None,
    kind: Annotated[
        Literal["choice", "labels", "record", "text"] | None,
        typer.Option(help="Kind of answer; none: recognised from the examples."),
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="JSON schema of the answers; none: from the examples.")] = None,
    format: Annotated[
        str | None, typer.Option(help="chat, jsonl, csv or conll; none: recognised from the content.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also look for label errors, leakage and personal data; needs a base.")
    ] = False,
    base: Annotated[str | None, typer.Option(help="Weights that --deep reads texts with: a name or a folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every problem.")] = False,
) -> None:
    """Check a data file before tuning. Exit code 0: usable, warnings allowed; 2: there are errors."""
    from nanosmith.cli.audit import as_deep, deep_audit, show_audit
    from nanosmith.data.load import inspect

    found = inspect(file, kind=kind, format=format, schema=schema)
    tested = None if test is None else _inspect_test(test, found)
    audited = deep_audit(found, tested, base) if deep else None
    if as_json:
        shown = as_object(file, found, test, tested) | {"deep": audited and as_deep(audited)}
        typer.echo(json.dumps(shown, ensure_ascii=False))
    else:
        _show(file, found, listed=audited is None)
        if test is not None and tested is not None:
            typer.echo()
            _show(test, tested, listed=audited is None)
        if audited is not None:
            show_audit(audited, file, test)
    if found.errors or (tested is not None and tested.errors):
        raise typer.Exit(2)


def _inspect_test(test: Path, train: Inspection) -> Inspection:
    """The test file read as the training file's task, with what both share; by itself where there is no task."""
    import msgspec

    from nanosmith.data.load import inspect
    from nanosmith.data.overlap import overlap

    if train.readable is None:
        return inspect(test, min_examples=1)
    found = inspect(test, task=train.readable.task)
    if found.readable is None or not len(found.readable):
        return found
    problems = dict.fromkeys((*found.problems, *overlap(train.readable, found.readable)))
    return msgspec.structs.replace(found, problems=tuple(problems))


def as_object(
    file: Path, found: Inspection, test: Path | None = None, tested: Inspection | None = None
) -> dict[str, Any]:
    """The JSON form; `test` has the same fields, or is None."""
    shown = _file_object(file, found)
    shown["test"] = None if test is None or tested is None else _file_object(test, tested)
    return shown


def _file_object(file: Path, found: Inspection) -> dict[str, Any]:
    import msgspec

    from nanosmith.cli.check_tables import record_object
    from nanosmith.data.summary import label_counts, lengths

    data = found.readable if found.readable is not None and len(found.readable) else None
    return {
        "file": str(file),
        "format": found.format,
        "usable": not found.errors,
        "kind": found.kind,
        "why": list(found.why),
        "task": msgspec.to_builtins(data.task) if data else None,
        "examples": len(data) if data else 0,
        "digest": data.digest if data else None,
        "labels": label_counts(data) if data and data.task.kind in ("choice", "labels") else {},
        "record": record_object(data) if data and data.task.kind == "record" else None,
        "lengths_chars": msgspec.to_builtins(lengths(data)) if data else None,
        "problems": msgspec.to_builtins(found.problems),
    }


def _show(file: Path, found: Inspection, *, listed: bool) -> None:
    """What a file holds; `listed`: and its problems, by code."""
    data = found.readable if found.readable is not None and len(found.readable) else None
    typer.echo(f"{file}: format {found.format}" + (f", {len(data):,} examples" if data else ""))
    if found.kind is not None:
        typer.echo(f"task: {_task_text(found.kind, data.task if data else None)}")
    for sentence in found.why:
        typer.echo(f"  {sentence}")
    if data is not None:
        _show_numbers(data)
    for line in _problem_lines(found.problems) if listed else ():
        typer.echo(line)
    errors = len(found.errors)
    warnings = len(found.problems) - errors
    typer.echo(f"{'not usable' if errors else 'usable'}: {_number(errors, 'error')}, {_number(warnings, 'warning')}")


def _task_text(kind: str, task: Task | None) -> str:
    if task is None or kind == "text":
        return kind
    if task.record is None:
        return f"{kind}, {_number(len(task.labels), 'label')}"
    return f"{kind}, {_number(len(task.record.fields), 'field')}, {_number(len(task.record.entities), 'entity label')}"


def _show_numbers(data: Dataset) -> None:
    from nanosmith.cli.check_tables import show_labels, show_record
    from nanosmith.data.summary import answer_lengths, label_counts, lengths

    sizes = lengths(data)
    if data.task.kind == "record":
        show_record(data)
    elif data.task.kind == "text":
        written = answer_lengths(data)
        typer.echo(f"answer length in characters: p50 {written.p50:,}, p95 {written.p95:,}, max {written.max:,}")
    else:
        show_labels("label", list(label_counts(data).items()), len(data))
    typer.echo(f"text length in characters: p50 {sizes.p50:,}, p95 {sizes.p95:,}, max {sizes.max:,}")
    typer.echo(f"digest: {data.digest}")


def _problem_lines(problems: Sequence[Problem]) -> Iterator[str]:
    """The problems grouped by code, errors first; at most 20 lines of each."""
    from nanosmith.data.problem import grouped

    by_code: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        by_code.setdefault((problem.level, problem.code), []).append(problem)
    for (level, code), members in by_code.items():
        yield f"{level} {code}" + (f", {len(members):,} times" if len(members) > 1 else "")
        groups, more = grouped(members, SHOWN_LINES)
        for group in groups:
            yield f"  {group.text}"
            yield from (f"    {example}" for example in group.examples)
        if more:
            yield f"  and {more:,} more (see --json)"
        yield from (f"  {remedy}" for remedy in dict.fromkeys(group.remedy for group in groups) if remedy)


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
