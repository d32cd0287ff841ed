"""The input file of a batch: one request per line, all of them checked before the first is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import Cancelled
from nanosmith.core.limits import MAX_BATCH_REQUESTS
from nanosmith.data.lines import decode_object, text_lines
from nanosmith.data.problem import shown
from nanosmith.data.reading import BadLine, Reading, json_type

METHOD = "POST"


class Line(msgspec.Struct, frozen=True):
    """One request: `number` is that of its line, from 1; `body` is JSON."""

    number: int
    custom_id: str
    body: bytes


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a line, as OpenAI's object of a batch error."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Checked(msgspec.Struct, frozen=True):
    """What a file holds; `model` when all requests name the same."""

    requests: int
    model: str | None
    problems: list[Problem]


class _Request(msgspec.Struct):
    custom_id: str
    body: msgspec.Raw


def check(path: Path, endpoint: str, should_stop: Callable[[], bool]) -> Checked:
    """Every line that cannot be used, with its first problem. Raises Cancelled."""
    reading, requests = Reading(), 0
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    models: set[str | None] = set()
    for number, text in text_lines(path, reading):
        if should_stop():
            raise Cancelled("stopped on request")
        if text is not None and not text.strip():
            continue
        requests += 1
        if requests > MAX_BATCH_REQUESTS:
            message = f"the file has more than {MAX_BATCH_REQUESTS:,} requests"
            return Checked(requests, None, [*problems, Problem("too_many_requests", message, number)])
        try:
            record = _decoded(text, reading)
            problem = _problem(record, number, endpoint, seen)
            models.add(_model(record))
        except BadLine as bad:
            problem = Problem("invalid_json_line", bad.message, number)
        if problem is not None:
            problems.append(problem)
    if not requests:
        problems.append(Problem("empty_file", "the file has no request", param="input_file_id"))
    return Checked(requests, models.pop() if len(models) == 1 else None, problems)


def lines(path: Path, *, after: int = 0) -> Iterator[Line]:
    """The requests of a checked file below the line with the number `after`."""
    for number, text in text_lines(path, Reading()):
        if number > after and text is not None and text.strip():
            request = msgspec.json.decode(text, type=_Request)
            yield Line(number, request.custom_id, bytes(request.body))


def _decoded(text: str | None, reading: Reading) -> dict[str, Any]:
    """Raises BadLine, also for a line that could not be read at all."""
    if text is None:
        problem = reading.problems[-1]
        raise BadLine(problem.code, problem.message, problem.remedy or "")
    return decode_object(text)


def _problem(record: dict[str, Any], number: int, endpoint: str, seen: dict[str, int]) -> Problem | None:
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if name not in record:
            return Problem("missing_required_parameter", f"the request has no `{name}`", number, name)
        if not isinstance(record[name], kind):
            wanted = "an object" if kind is dict else "a string"
            return Problem("invalid_type", f"`{name}` is {json_type(record[name])}, not {wanted}", number, name)
    for name, wanted in (("method", METHOD), ("url", endpoint)):
        if record[name] != wanted:
            message = f"`{name}` is {shown(record[name])}, not the batch's {wanted}"
            return Problem(f"invalid_{name}", message, number, name)
    first = seen.setdefault(record["custom_id"], number)
    if first != number:
        message = f"line {first} has the same `custom_id` {shown(record['custom_id'])}"
        return Problem("duplicate_custom_id", message, number, "custom_id")
    return None


def _model(record: dict[str, Any]) -> str | None:
    body = record.get("body")
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else None
