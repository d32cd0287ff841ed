"""Is it a record? From examples whose answers are JSON objects to a Dataset of records, or of free text and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from nanosmith.core.errors import InputError
from nanosmith.core.example import Example
from nanosmith.core.record import ENTITIES
from nanosmith.core.task import Kind
from nanosmith.data.dataset import Dataset
from nanosmith.data.problem import Problem, shown
from nanosmith.data.reading import BadLine, Reading
from nanosmith.data.record.columns import is_entities
from nanosmith.data.record.entities import checked_entities
from nanosmith.data.record.form import Built, build
from nanosmith.data.record.schema import checked_schema, misfit, read_schema
from nanosmith.data.shapes import MOST

OVERRULE = "So the answers are written, not extracted: the task is text. --kind record extracts what can be."
TEXT_REMEDY = "Write the values as they stand in the text, leave the field out, or take --kind text."


class Wanted(NamedTuple):
    """What the user says of the task: its kind, the file of its JSON schema."""

    kind: Kind | None = None
    schema: Path | str | None = None


class Found(NamedTuple):
    """Of kind record or text; `problems` name the examples that were left out, or what stops everything."""

    dataset: Dataset
    problems: list[Problem]
    why: tuple[str, ...]


def record_dataset(given: Dataset, reading: Reading, wanted: Wanted) -> Found:
    """The examples as records. Where the user has not asked for them, and they cannot be chosen and copied, as text."""
    is_sure = wanted.kind == "record" or wanted.schema is not None or reading.answer_key == "entities"
    dataset, problems = _objects(given)
    if len(dataset) < MOST * len(given) and not is_sure:
        return _as_text(given, (*given.why, "The answers are JSON, but not objects."))
    if not len(dataset):
        remedy = "Write each answer as a JSON object, or take another kind."
        return Found(dataset, [_no_record("the answers are not JSON objects", problems, remedy)], given.why)
    try:
        schema, told = (read_schema(wanted.schema), []) if wanted.schema is not None else _own_schema(dataset, reading)
        dataset, contradictions = (dataset, []) if schema is None else _obeying(dataset, schema)
        problems += [*told, *contradictions]
    except InputError as error:
        problem = Problem("error", "bad_schema", str(error), None, "Write a schema that the answers can be checked by.")
        return Found(dataset.subset([]), [problem], given.why)
    if not len(dataset):
        return Found(dataset, problems, given.why)
    answers: list[Any] = [msgspec.json.decode(str(value)) for value in dataset.values]
    built = build(answers, dataset.texts, schema=schema, function=reading.function)
    if built.form is None or (built.open and not is_sure):
        if not is_sure:
            return _as_text(given, (*built.why, OVERRULE))
        return Found(dataset.subset([]), [_no_record(built.why[0].rstrip("."), [])], given.why)
    if not built.form.fields and not built.form.entities:
        message = "no example has an entity" if reading.answer_key == "entities" else "the answers have no field"
        return Found(
            dataset.subset([]), [Problem("error", "no_fields", message, None, "Add examples that have some.")], ()
        )
    made = Dataset(dataset.examples, replace(given.task, record=built.form), source=given.source, format=given.format)
    return Found(made, problems, (*given.why, *built.why, *_about_open(built)))


def _as_text(given: Dataset, why: tuple[str, ...]) -> Found:
    task = replace(given.task, kind="text")
    return Found(Dataset(given.examples, task, source=given.source, format=given.format), [], why)


def _about_open(built: Built) -> tuple[str, ...]:
    if not built.open:
        return ()
    names = ", ".join(map(shown, built.open))
    return (
        f"The kind was given: {names} will be answered wrongly where the value was not seen or is not in the text.",
    )


def _own_schema(dataset: Dataset, reading: Reading) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The schema that the lines themselves name; one that cannot be promised is told and left aside."""
    if reading.schema is None:
        return None, []
    try:
        schema = checked_schema(reading.schema, "the lines' schema")
        _obeying(dataset.subset([0]), schema)
    except InputError as error:
        remedy = "The fields are recognised from the answers instead."
        return None, [Problem("warning", "schema_unused", str(error), None, remedy)]
    return schema, []


def _objects(given: Dataset) -> tuple[Dataset, list[Problem]]:
    """The examples whose answers are JSON objects with sound entities, and a Problem for each of the others."""
    kept: list[Example] = []
    problems = []
    for example in given.examples:
        try:
            content = msgspec.json.decode(str(given.task.parse(example.answer)))
            if is_entities(content.get(ENTITIES)) and content[ENTITIES]:
                checked_entities(content[ENTITIES], _last_user_text(example))
        except InputError:
            message = f"the answer is no JSON object (got {shown(example.answer)})"
            problems.append(Problem("error", "answer_form", message, example.line, "Write all answers in one form."))
        except BadLine as bad:
            problems.append(Problem("error", bad.code, bad.message, example.line, bad.remedy))
        else:
            kept.append(example)
    return Dataset(tuple(kept), given.task, source=given.source, format=given.format), problems


def _last_user_text(example: Example) -> str:
    return next((message.content for message in reversed(example.messages) if message.role == "user"), "")


def _obeying(dataset: Dataset, schema: dict[str, Any]) -> tuple[Dataset, list[Problem]]:
    """The examples whose answers obey the schema, and a Problem for each of the others. Raises InputError for a schema
    that cannot be promised."""
    kept, problems = [], []
    for i, (example, value) in enumerate(zip(dataset.examples, dataset.values)):
        why = misfit(msgspec.json.decode(str(value)), schema)
        if why is None:
            kept.append(i)
            continue
        message = f"the answer contradicts the schema: {why}"
        remedy = "Change the answer, or the schema."
        problems.append(Problem("error", "schema_mismatch", message, example.line, remedy))
    return dataset.subset(kept), problems


def _no_record(why: str, problems: Sequence[Problem], remedy: str = TEXT_REMEDY) -> Problem:
    return Problem("error", "no_record", why, problems[0].line if problems else None, remedy)
