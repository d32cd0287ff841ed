"""Bodies: the bytes of a request to JSON, and JSON to a response."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_BODY_BYTES, MAX_JSON_DEPTH, MAX_JSON_VALUES
from nanosmith.server.http.errors import TooLarge, WrongContentType

OPENERS = b"[{"
SEPARATORS = b",[{"
"""JSON has no more values than these, outside of strings, and one."""
TEXT_OR_SEPARATOR = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+|[,\[{]', re.DOTALL)


def json_response(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Raises WrongContentType, TooLarge (before the whole body is read), InputError."""
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType("the body has the wrong content type", got=repr(given), allowed="application/json")
    check_plain(request)
    return parse_object(await read_body(request, MAX_BODY_BYTES))


def check_plain(request: Request) -> None:
    """Refuse a compressed body, whose size only unpacking would tell. Raises WrongContentType."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise WrongContentType("the body is compressed", got=repr(encoding[:80]), allowed="no content-encoding")


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The body, at most `limit_bytes` of it. Raises TooLarge."""
    check_length(request, limit_bytes)
    body = bytearray()
    while True:  # not request.stream(), which takes half as long again
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        check_size(len(body), limit_bytes)
        if not message.get("more_body"):
            return bytes(body)


def check_length(request: Request, limit_bytes: int) -> None:
    """Refuse a body by its announced length, before any of it is read."""
    announced = request.headers.get("content-length", "")
    check_size(int(announced) if announced.isdecimal() else 0, limit_bytes)


def check_size(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise TooLarge("the request body is too large", got=f"{size_bytes} bytes", allowed=f"{limit_bytes} bytes")


def parse_object(body: bytes) -> dict[str, Any]:
    """Raises InputError for what is no JSON object, or has too many values or levels."""
    if has_many_values(body):
        raise InputError("the JSON has too many values", allowed=MAX_JSON_VALUES, code="invalid_json")
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the body is not valid JSON: {error}", code="invalid_json") from error
    if not isinstance(content, dict):
        raise InputError("the body is not a JSON object", got=type(content).__name__, code="invalid_json")
    if sum(map(body.count, OPENERS)) > MAX_JSON_DEPTH and is_deep(content):
        raise InputError("the JSON is nested too deeply", allowed=f"{MAX_JSON_DEPTH} levels", code="invalid_json")
    return content


def has_many_values(body: bytes) -> bool:
    """Whether JSON has more than MAX_JSON_VALUES, without decoding it: small ones take much more memory than bytes."""
    if len(body) <= MAX_JSON_VALUES or sum(map(body.count, SEPARATORS)) <= MAX_JSON_VALUES:
        return False
    values = 0
    for found in TEXT_OR_SEPARATOR.finditer(body):
        values += body[found.start()] in SEPARATORS
        if values > MAX_JSON_VALUES:
            return True
    return False


def is_deep(content: Any) -> bool:
    """Whether JSON has more than MAX_JSON_DEPTH levels: what was just decoded could, deeper in another object, not be
    encoded any more."""
    level = [content]
    for _ in range(MAX_JSON_DEPTH):
        below = (part for one in level for part in (one.values() if isinstance(one, dict) else one))
        level = [part for part in below if isinstance(part, dict | list)]
        if not level:
            return False
    return True
