"""What the teachers are asked for: labels, a record, or text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.json_schema import fits
from nanosmith.core.record import RecordForm
from nanosmith.core.task import Kind, Task
from nanosmith.data.load import inspect, load
from nanosmith.store.bundles import Bundle

REMEDY = "Name them: --labels a,b,c, or --like with a file of labelled examples, or --schema, or --kind text."


class Wanted(msgspec.Struct, frozen=True):
    """What the user says of the answers: the `labels`, a file of examples `like` those that are wanted, a `schema`."""

    labels: tuple[str, ...] = ()
    like: Path | None = None
    schema: Path | None = None
    kind: Kind | None = None


def task_of(file: Path, wanted: Wanted, bundles: Iterable[Bundle]) -> Task:
    """From what was said, else the local teachers, else the file's own answers. Raises InputError."""
    if wanted.labels and (wanted.like or wanted.schema):
        raise InputError("labels are given twice", got="--labels with --like or --schema", param="labels",
                         remedy="Keep one of them.")  # fmt: skip
    if wanted.labels:
        return _listed(wanted)
    if wanted.like is not None:
        return load(wanted.like, kind=wanted.kind, schema=wanted.schema, min_examples=1).task
    if wanted.schema is not None:
        return Task("record", record=RecordForm(schema=_schema(wanted.schema)))
    for bundle in bundles:
        return bundle.manifest.task
    if wanted.kind == "text":
        return Task("text")
    found = inspect(file, kind=wanted.kind, min_examples=1)
    if found.readable is None or not len(found.readable):
        raise InputError("nobody says what the labels are", param="labels", remedy=REMEDY)
    return found.readable.task


def _listed(wanted: Wanted) -> Task:
    labels = tuple(sorted({label.strip() for label in wanted.labels if label.strip()}))
    if len(labels) < 2:
        raise InputError("too few labels", got=", ".join(labels) or "none", allowed="two different ones at least",
                         param="labels")  # fmt: skip
    if wanted.kind not in (None, "choice", "labels"):
        raise InputError("answers of this kind have no labels", got=f"--labels with --kind {wanted.kind}",
                         allowed="--kind choice or --kind labels", param="kind")  # fmt: skip
    return Task("labels", labels, "json_list") if wanted.kind == "labels" else Task("choice", labels)


def _schema(path: Path) -> dict[str, Any]:
    """Raises InputError."""
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"the schema cannot be read: {error}", where=str(path), param="schema") from error
    if not isinstance(schema, dict):
        raise InputError("a JSON schema is an object", where=str(path), param="schema")
    fits({}, schema, schema)  # what of it is not understood is told before anything is paid
    return schema
