"""The request of an eval: where its rows come from, and graders that are able to grade them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.fields import Metadata
from nanosmith.core.limits import MAX_EVAL_CRITERIA
from nanosmith.core.structs import to_struct
from nanosmith.score.graders import messages
from nanosmith.score.graders import run as graders
from nanosmith.score.graders.grade import GradingError, Tools
from nanosmith.score.graders.label_model import LabelModelGrader
from nanosmith.score.graders.multi import MultiGrader
from nanosmith.score.graders.score_model import ScoreModelGrader, number_in
from nanosmith.score.graders.string_check import StringCheckGrader
from nanosmith.score.graders.template import references
from nanosmith.score.graders.text_similarity import TextSimilarityGrader
from nanosmith.server.evals.models import task_of
from nanosmith.server.fine_tuning.graders import ValidateRequest, readable
from nanosmith.server.services import Services

SAMPLE_SCHEMA = {"type": "object", "properties": {"output_text": {"type": "string"}, "output_json": {}}}
OPEN_SCHEMAS = ("$ref", "anyOf", "oneOf", "allOf", "patternProperties", "if")
"""Keywords with which a schema does not list the names of its fields in `properties`."""


class Custom(msgspec.Struct, tag="custom", tag_field="type"):
    """Rows of the user's own. `schema` is the form in which OpenAI gives an eval back, so in which it is exported."""

    item_schema: dict[str, Any] | None = None
    include_sample_schema: bool = False
    schema: dict[str, Any] | None = None


class Logs(msgspec.Struct, tag="logs", tag_field="type"):
    metadata: Metadata = None


class StoredCompletions(msgspec.Struct, tag="stored_completions", tag_field="type"):
    metadata: Metadata = None


Config: TypeAlias = Custom | Logs | StoredCompletions


class CreateEval(msgspec.Struct):
    data_source_config: Config
    testing_criteria: Annotated[list[Any], Meta(min_length=1, max_length=MAX_EVAL_CRITERIA)]
    name: str | None = None
    metadata: Metadata = None


class UpdateEval(msgspec.Struct):
    name: str | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


@contextmanager
def below(path: str, inner: str) -> Iterator[None]:
    """An InputError inside about the field `inner`, or one in it, becomes one about `path`."""
    try:
        yield
    except InputError as error:
        rest = (error.param or inner).removeprefix(inner)
        where = f"{path}.{rest}" if rest and rest[0] not in ".[" else path + rest
        what = str(error).removeprefix(f"{error.param}: ")
        kind = NotFound if isinstance(error, NotFound) else InputError
        raise kind(what, where=where, param=where, code=error.code) from error


def shown_config(config: Config) -> dict[str, Any]:
    """The data_source_config as OpenAI answers it: with one schema of item and sample."""
    if not isinstance(config, Custom):
        schema = _schema({"type": "object"}, with_sample=True)
        return {"type": config.__struct_config__.tag, "metadata": config.metadata or {}, "schema": schema}
    if config.item_schema is None and config.schema is None:
        param = "data_source_config.item_schema"
        raise InputError("the schema of the rows is missing", param=param, code="missing_required_parameter")
    if config.item_schema is None:
        return {"type": "custom", "schema": config.schema}
    return {"type": "custom", "schema": _schema(config.item_schema, with_sample=config.include_sample_schema)}


def item_schema(shown: dict[str, Any]) -> Any:
    """The schema of `item` in what `shown_config` gave; True, which forbids nothing, where there is none."""
    properties = shown["schema"].get("properties")
    return properties.get("item", True) if isinstance(properties, dict) else True


def read_criteria(given: Sequence[Any], schema: Any, home: Services, tools: Tools) -> list[dict[str, Any]]:
    """The testing_criteria as they are kept: each with an id of its own, and readable by `kept_criterion`.

    Raises InputError, ModelNotFound or MissingExtra for a grader that could grade no row; `schema` is that of the item.
    """
    return [_criterion(one, f"testing_criteria[{i}]", schema, home, tools) for i, one in enumerate(given)]


def kept_criterion(kept: dict[str, Any]) -> graders.Grader:
    return msgspec.convert(kept, graders.Grader)  # type: ignore[no-any-return]


def check_fields(text: str, where: str, schema: Any) -> None:
    """Raises InputError for a template that names a field which no row has, by the schema of the item."""
    for written, namespace, steps in references(text):
        unknown = _unknown_field(schema, steps) if namespace == "item" else None
        if unknown is not None:
            name, known = unknown
            raise InputError(
                f"item_schema has no `{name[:80]}`", where=where, got=written, param=where,
                allowed=", ".join(f"`{one[:40]}`" for one in known[:10]),
            )  # fmt: skip


def _schema(item: dict[str, Any], *, with_sample: bool) -> dict[str, Any]:
    properties = {"item": item, "sample": SAMPLE_SCHEMA} if with_sample else {"item": item}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _criterion(given: Any, where: str, schema: Any, home: Services, tools: Tools) -> dict[str, Any]:
    with below(where, "grader"):
        content = readable({"grader": given})
        grader = to_struct(content, ValidateRequest).grader
        graders.validate(grader, tools)
    if isinstance(grader, TextSimilarityGrader) and grader.pass_threshold is None:
        param = f"{where}.pass_threshold"
        raise InputError("the threshold is missing", param=param, code="missing_required_parameter")
    for one, path in _graders(grader, where):
        _check_model(one, path, home)
        for text_path, text in _templates(one, path):
            check_fields(text, text_path, schema)
    return {**content["grader"], "id": f"{grader.name}-{uuid.uuid4()}"}


def _graders(grader: graders.Grader, where: str) -> Iterator[tuple[graders.Grader, str]]:
    """The grader, or those of a multi grader, each with its path."""
    if not isinstance(grader, MultiGrader):
        yield grader, where
        return
    for name, one in grader.graders.items():
        yield one, f"{where}.graders.{name}"


def _templates(grader: graders.Grader, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(grader, StringCheckGrader | TextSimilarityGrader):
        yield f"{where}.input", grader.input
        yield f"{where}.reference", grader.reference
    elif isinstance(grader, LabelModelGrader | ScoreModelGrader):
        yield from messages.texts(grader.input, f"{where}.input")


def _check_model(grader: graders.Grader, where: str, home: Services) -> None:
    """Raises ModelNotFound; InputError for a model none of whose answers would be a grade."""
    if not isinstance(grader, LabelModelGrader | ScoreModelGrader):
        return
    with below(f"{where}.model", "model"):
        task = task_of(home, grader.model)
        if task is None:
            return
        labels = set(task.labels) if task.kind == "choice" else set()
        if isinstance(grader, ScoreModelGrader):
            useful, wanted = all(map(_is_number, labels)) and bool(labels), "a model that answers with numbers"
        else:
            useful, wanted = not labels.isdisjoint(grader.labels), "a model that answers with these labels"
        if not useful:
            got = ", ".join(sorted(task.labels)[:5])
            raise InputError("no answer of this model is a grade", got=got, allowed=wanted, code="unsupported_grader")


def _is_number(label: str) -> bool:
    try:
        number_in(label)
    except GradingError:
        return False
    return True


def _unknown_field(schema: Any, steps: Sequence[str]) -> tuple[str, list[str]] | None:
    """The first step that leads to no field which the schema names, and the names there are."""
    for step in steps:
        if not isinstance(schema, dict) or any(keyword in schema for keyword in OPEN_SCHEMAS):
            return None
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            schema = schema.get("items")
        elif step in properties:
            schema = properties[step]
        elif schema.get("additionalProperties") in (None, False):
            return step, list(properties)
        else:
            return None
    return None
