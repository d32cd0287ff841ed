"""How a record is answered: as JSON content, or as the arguments of a function, in the shape that the client asks for.

A format is accepted where every answer that the model can give is valid against it. The model's answers are what its
RecordForm tells: the fields, their values where they are chosen, the schema's types where they are copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.json_schema import Checker, resolve
from nanosmith.core.prediction import Prediction
from nanosmith.core.record import ENTITIES, RecordForm
from nanosmith.core.task import Task
from nanosmith.data.record.schema import schema_of
from nanosmith.server.chat.request import ChatMessage, ChatRequest, FunctionToolCall, ResponseFormat, refused, turns
from nanosmith.server.chat.tools import Function, Offer, offer
from nanosmith.server.http.inclusion import Inclusion

SCHEMA = "response_format.json_schema.schema"
ISO_DATE = ":%Y-%m-%d"  # how the name of a normaliser of such dates ends
NO_DATE = "0001-01-01"
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
Pieces: TypeAlias = list[tuple[str, float]]
"""An answer's text in pieces, each with its probability."""
Place: TypeAlias = tuple[str | int, ...]
"""The path of a field, or label, start and end of an entity."""


class RecordPlan(msgspec.Struct, frozen=True):
    """What becomes of a record: `function` is called with it (None: it is the content). `schema` is what the client
    wants, None where it does not say."""

    form: RecordForm
    schema: dict[str, Any] | None = None
    function: str | None = None

    def record(self, prediction: Prediction) -> dict[str, Any]:
        """The object that is answered, with null at the keys that the schema wants and the model left out, and a date
        where it wants one and none was found."""
        made: dict[str, Any] = msgspec.json.decode(str(prediction.value))
        return _filled(made, self.schema, self.schema) if self.schema else made

    def text(self, prediction: Prediction) -> str:
        return msgspec.json.encode(self.record(prediction)).decode()

    def tokens(self, prediction: Prediction) -> Pieces:
        """The text in pieces: each value with its field's confidence, what stands between them with 1. Empty where the
        model is not calibrated, or tells nothing of fields."""
        count = len(self.form.fields)
        if len(prediction.fields) < count or any(field.confidence is None for field in prediction.fields):
            return []
        pairs = zip(self.form.fields, prediction.fields[:count], strict=True)
        sure: dict[Place, float] = {field.path: answer.confidence or 0.0 for field, answer in pairs}
        for entity in prediction.fields[count:]:
            sure |= {(entity.name, *span): entity.confidence or 0.0 for span in entity.spans}
        return list(_joined(_pieces(self.record(prediction), (), sure)))


def plan(asked: ChatRequest, task: Task) -> RecordPlan:
    """Raises InputError for a format, or for functions, that the answers do not fit."""
    form, offered = task.record or RecordForm(), offer(asked)
    if offered is not None:
        function = _called(offered, form)
        return RecordPlan(form, function.parameters or NO_ARGUMENTS, function.name)
    return RecordPlan(form, _wanted(asked.response_format, form))


def turns_of(asked: ChatRequest) -> tuple[Message, ...]:
    """The messages as turns; a call is its arguments, as in the training examples."""
    return tuple(
        Message(turn.role, "\n".join(_arguments(message)) or turn.content)
        for turn, message in zip(turns(asked), asked.messages, strict=True)
    )


def _arguments(message: ChatMessage) -> list[str]:
    made = [call.function.arguments for call in message.tool_calls or () if isinstance(call, FunctionToolCall)]
    return [*made, *([message.function_call.arguments] if message.function_call else [])]


def answers(form: RecordForm) -> dict[str, Any]:
    """The schema of what the model can answer, by its fields."""
    schema = schema_of(form)
    for field in form.fields:
        if field.normal.endswith(ISO_DATE) and field.missing != "empty":
            place = schema
            for name in field.path[:-1]:
                place = place["properties"][name]
            part = place["properties"][field.path[-1]]
            (part["items"] if field.type == "spans" else part)["format"] = "date"
    return schema


def _wanted(asked: ResponseFormat | None, form: RecordForm) -> dict[str, Any] | None:
    if asked is None or asked.type != "json_schema":
        return None
    if asked.json_schema is None:
        param = "response_format.json_schema"
        raise InputError("json_schema is missing", param=param, code="missing_required_parameter")
    schema = asked.json_schema.schema or {}
    if why := _misfit(form, schema, SCHEMA, strict=asked.json_schema.strict is True):
        raise InputError(
            f"response_format is refused: {why}", param=SCHEMA, code="unsupported_parameter",
            remedy="Ask without a format to see what the model answers.",
        )  # fmt: skip
    return schema


def _called(offered: Offer, form: RecordForm) -> Function:
    """The function that the examples called, else the only one whose parameters fit. Raises InputError."""
    if not offered.required and form.function is None:
        raise refused("tools", "the model's examples called none", 'tool_choice "required", "none" or a function')
    misfits = {one.name: _misfit(form, one.parameters or NO_ARGUMENTS, "tools", strict=one.strict is True)
               for one in offered.functions}  # fmt: skip
    fitting = [one for one in offered.functions if misfits[one.name] is None]
    own = [one for one in fitting if one.name == form.function]
    if len(own or fitting) == 1:
        return (own or fitting)[0]
    if fitting:
        names = ", ".join(one.name for one in fitting)
        raise refused("tool_choice", f"several functions fit the model's answers ({names})", "the name of one function")
    said = "; ".join(f"{name}: {why}" for name, why in list(misfits.items())[:3])
    raise refused("tools", f"no function takes the model's answers ({said})", "functions with the model's fields")


def _misfit(form: RecordForm, wide: dict[str, Any], param: str, *, strict: bool) -> str | None:
    """Why an answer may not fit a schema. Only a strict one insists on keys that may be missing."""
    narrow = answers(form)
    try:
        return Inclusion(wide, all_required=strict).misfit(_with_null(narrow, wide, wide), wide)
    except InputError as error:
        error.param = error.param or param
        raise


def _with_null(narrow: dict[str, Any], wide: Any, root: dict[str, Any]) -> dict[str, Any]:
    """The narrow schema of an object as `_filled` answers it: keys that may be missing and are wanted can be null."""
    wide = _object_in(wide, root)
    wanted, properties = wide.get("required") or (), dict(narrow["properties"])
    for name, part in properties.items():
        if isinstance(part, dict) and part.get("type") == "object":
            properties[name] = part = _with_null(part, (wide.get("properties") or {}).get(name, {}), root)
        if name in wanted and name not in narrow["required"]:
            properties[name] = {"anyOf": [part, {"type": "null"}]}
    required = [name for name in properties if name in wanted or name in narrow["required"]]
    return narrow | {"properties": properties, "required": required}


def _filled(record: dict[str, Any], wide: Any, root: dict[str, Any] | None) -> dict[str, Any]:
    wide = _object_in(wide, root or {})
    parts = wide.get("properties") or {}
    made = {name: _fitted(value, parts.get(name, {}), root) for name, value in record.items()}
    return made | {name: None for name in wide.get("required") or () if name in parts and name not in made}


def _fitted(value: Any, wide: Any, root: dict[str, Any] | None) -> Any:
    if isinstance(value, dict):
        return _filled(value, wide, root)
    return _emptiest(wide, root or {}) if value == "" else value


def _emptiest(schema: Any, root: dict[str, Any]) -> str | None:
    """What stands for nothing and is valid: an empty text, null, or the first of all dates."""
    checker = Checker(root)
    return next((value for value in ("", None, NO_DATE) if checker.fits(value, schema)), "")


def _object_in(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """The part of a schema that is about objects, behind references and alternatives."""
    for _ in range(8):
        if not isinstance(schema, dict):
            return {}
        if "$ref" in schema:
            schema = resolve(schema["$ref"], root)
        elif isinstance(schema.get("anyOf"), list):
            schema = next((one for one in schema["anyOf"] if one != {"type": "null"}), {})
        else:
            break
    return schema if isinstance(schema, dict) else {}


def _pieces(value: Any, path: tuple[str, ...], sure: Mapping[Place, float]) -> Iterator[tuple[str, float | None]]:
    """The JSON text of a value in pieces, with a probability where it is a field's or an entity's."""
    if path in sure or not isinstance(value, dict):
        if path == (ENTITIES,) and isinstance(value, list) and path not in sure:
            yield from _entity_pieces(value, sure)
        else:
            yield msgspec.json.encode(value).decode(), sure.get(path)
        return
    for i, (name, part) in enumerate(value.items()):
        yield f"{',' if i else '{'}{msgspec.json.encode(name).decode()}:", None
        yield from _pieces(part, (*path, name), sure)
    yield ("}" if value else "{}"), None


def _entity_pieces(found: Sequence[Any], sure: Mapping[Place, float]) -> Iterator[tuple[str, float | None]]:
    for i, one in enumerate(found):
        yield ("," if i else "["), None
        yield msgspec.json.encode(one).decode(), sure.get((one["label"], one["start"], one["end"]))
    yield ("]" if found else "[]"), None


def _joined(pieces: Iterable[tuple[str, float | None]]) -> Iterator[tuple[str, float]]:
    """Structure, which is certain, in one piece where it stands together."""
    between = ""
    for text, probability in pieces:
        if probability is None:
            between += text
            continue
        if between:
            yield between, 1.0
        yield text, probability
        between = ""
    if between:
        yield between, 1.0
