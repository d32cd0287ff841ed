"""Assistant's turns of chat files that call a function: its arguments are the answer, a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from nanosmith.data.reading import BadLine, Reading, json_type

CALL = 'Write {"tool_calls": [{"type": "function", "function": {"name": "…", "arguments": "{…}"}}]}.'


class Call(NamedTuple):
    """`arguments` are a JSON object as canonical text."""

    name: str
    arguments: str


def calls_of(message: Mapping[str, Any], where: str) -> list[Call]:
    """The calls of an assistant's message. Raises BadLine."""
    made = message.get("tool_calls") or []
    if not isinstance(made, list):
        raise BadLine("bad_call", f"{where}: `tool_calls` is {json_type(made)}", CALL)
    functions = [one.get("function") if isinstance(one, dict) else one for one in made]
    if message.get("function_call"):
        functions.append(message["function_call"])
    return [_call(function, where) for function in functions]


def claim_answer(reading: Reading, calls: list[Call], where: str) -> None:
    """Keep what the answers of the file are: calls of one function, or texts. Raises BadLine where this one differs."""
    if len(calls) > 1:
        message = f"{where} calls {len(calls)} functions"
        raise BadLine("several_calls", message, "Write one call as the answer: its arguments are the record.")
    key = f"call {calls[0].name}" if calls else "content"
    if reading.answer_key in (None, key):
        reading.answer_key = key
        if calls:
            reading.function, reading.declared = calls[0].name, "record"
        return
    if calls and reading.function:
        message = f"{where} calls {calls[0].name[:80]!r}, earlier answers call {reading.function[:80]!r}"
        raise BadLine("several_functions", message, "Put the examples of each function into a file of its own.")
    message = f"{where} is {'a call' if calls else 'a text'}, earlier answers are {'texts' if calls else 'calls'}"
    raise BadLine("mixed_answers", message, 'Use one of the two; turns that are not learnt need "weight": 0.')


def claim_schema(reading: Reading, record: Mapping[str, Any]) -> None:
    """Keep the schema that a line names for its answer: in `response_format`, or as a function's parameters. Raises
    BadLine where it differs from an earlier line's."""
    schema = _schema(record, reading.function)
    if schema is None or reading.schema == schema:
        return
    if reading.schema is not None:
        message = "the schema of the answer differs from that of earlier lines"
        raise BadLine("other_schema", message, "Use one schema in all lines.")
    reading.schema = schema


def _schema(record: Mapping[str, Any], function: str | None) -> dict[str, Any] | None:
    form = record.get("response_format")
    if isinstance(form, dict) and isinstance(form.get("json_schema"), dict):
        found = form["json_schema"].get("schema")
        return found if isinstance(found, dict) else None
    offered = [*_list(record.get("functions")), *(_part(tool, "function") for tool in _list(record.get("tools")))]
    for one in offered:
        if function is not None and isinstance(one, dict) and one.get("name") == function:
            found = one.get("parameters")
            return found if isinstance(found, dict) else None
    return None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _part(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _call(function: object, where: str) -> Call:
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise BadLine("bad_call", f"{where}: a call has no function with a `name`", CALL)
    arguments = function.get("arguments")
    try:
        content = msgspec.json.decode(arguments) if isinstance(arguments, str) else arguments
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"{where}: the arguments of the call are not JSON: {error}"
        raise BadLine("bad_call", message, CALL) from None
    if not isinstance(content, dict):
        message = f"{where}: the arguments of the call are {json_type(content)}, not an object"
        raise BadLine("bad_call", message, CALL)
    return Call(function["name"], msgspec.json.encode(content).decode())
