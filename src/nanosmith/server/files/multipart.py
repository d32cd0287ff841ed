"""Multipart bodies as a stream of parts (RFC 7578): a file never lies in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_BOUNDARY_CHARS

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 32


class Part(msgspec.Struct, frozen=True):
    """The start of a part; `filename` is None for a plain field."""

    name: str
    filename: str | None


Event: TypeAlias = Part | bytes | Literal["end"]
"""A part begins, has data, and ends; parts follow each other."""


def boundary_of(content_type: str) -> bytes | None:
    """The boundary in a Content-Type header, or None when it is not multipart/form-data with one."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    is_right = kind == b"multipart/form-data" and 1 <= len(boundary) <= MAX_BOUNDARY_CHARS
    return boundary if is_right else None


def events(chunks: Iterable[bytes], boundary: bytes) -> Iterator[Event]:
    """Parse chunks as they come. Raises InputError where they are not multipart or end too early."""
    state = _State()
    try:
        parser = MultipartParser(boundary, state.callbacks())
        for chunk in chunks:
            parser.write(chunk)
            yield from state.take()
    except MultipartParseError as error:
        raise InputError(f"the body is not valid multipart/form-data: {error}", code="invalid_multipart") from error
    if not state.complete:
        raise InputError("the multipart body ends too early", code="invalid_multipart")


class _State:
    """Collects what the parser calls back about."""

    def __init__(self) -> None:
        self.complete = False
        self._found: list[Event] = []
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._parts = 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": lambda data, start, end: self._found.append(bytes(data[start:end])),
            "on_part_end": lambda: self._found.append("end"),
            "on_end": self._end,
        }

    def take(self) -> list[Event]:
        found, self._found = self._found, []
        return found

    def _begin(self) -> None:
        self._disposition = b""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InputError("too many parts", allowed=MAX_PARTS, code="invalid_multipart")

    def _header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise InputError("a part has no name", code="invalid_multipart")
        filename = options.get(b"filename")
        self._found.append(Part(_text(options[b"name"]), None if filename is None else _text(filename)))

    def _end(self) -> None:
        self.complete = True


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
