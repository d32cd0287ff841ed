"""A reader of ONNX files that copies no weights: the few fields of a graph that are needed to know it again.

ONNX files are protocol buffers: a message is a row of fields, each a tag (number · 8 + wire type) and a value. The
numbers are those of onnx.proto3. Raises ValueError where a file is not what it should be.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT = 1, 5, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_OP, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 4, 5, 7
ATTRIBUTE_NAME, ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_TEXT = 1, 2, 3, 4
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW, TENSOR_EXTERNAL = 1, 2, 8, 9, 13
ENTRY_KEY, ENTRY_VALUE = 1, 2
VALUE_NAME = 1
TYPES: dict[int, str] = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8"}
Array = NDArray[Any]


class Node(NamedTuple):
    """One operator; `attributes` has those that are a float, an integer or a text."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, float | int | str]


class Graph(NamedTuple):
    """Nodes in order, constants by name (views of the mapped file), and the names of inputs and outputs."""

    nodes: list[Node]
    constants: dict[str, Array]
    inputs: list[str]
    outputs: list[str]


def read_graph(path: Path) -> Graph:
    """The graph of a model; its constants stay valid as long as they are referred to. Those that lie in another file
    are looked for in the same folder."""
    files = _Files(path.parent)
    content = files.content(path.name)
    graph = next((value for number, value in _fields(content) if number == MODEL_GRAPH), None)
    if not isinstance(graph, memoryview):
        raise ValueError("no graph")
    found = Graph([], {}, [], [])
    for number, value in _fields(graph):
        if number == GRAPH_NODE:
            found.nodes.append(_node(_message(value)))
        elif number == GRAPH_INITIALIZER:
            name, array = _tensor(_message(value), files)
            found.constants[name] = array
        elif number in (GRAPH_INPUT, GRAPH_OUTPUT):
            names = found.inputs if number == GRAPH_INPUT else found.outputs
            names += [_text(part) for field, part in _fields(_message(value)) if field == VALUE_NAME]
    return found


class _Files:
    """Mapped files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, memoryview] = {}

    def content(self, name: str) -> memoryview:
        if name != Path(name).name:
            raise ValueError("weights outside of the model's folder")
        if name not in self._known:
            with (self._folder / name).open("rb") as file:
                self._known[name] = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return self._known[name]

    def part(self, entries: dict[str, str]) -> memoryview:
        """What external data's `location`, `offset` and `length` say."""
        start, size = int(entries.get("offset", 0)), int(entries.get("length", -1))
        try:
            whole = self.content(entries.get("location", ""))
        except OSError as error:
            raise ValueError("the file of the weights cannot be read") from error
        if not 0 <= start <= start + size <= len(whole):
            raise ValueError("weights beyond the end of their file")
        return whole[start : start + size]


def _node(content: memoryview) -> Node:
    inputs, outputs, op, domain, attributes = [], [], "", "", {}
    for number, value in _fields(content):
        if number == NODE_INPUT:
            inputs.append(_text(value))
        elif number == NODE_OUTPUT:
            outputs.append(_text(value))
        elif number == NODE_OP:
            op = _text(value)
        elif number == NODE_DOMAIN:
            domain = _text(value)
        elif number == NODE_ATTRIBUTE:
            attributes.update(_attribute(_message(value)))
    return Node(f"{domain}.{op}" if domain else op, tuple(inputs), tuple(outputs), attributes)


def _attribute(content: memoryview) -> dict[str, float | int | str]:
    name = ""
    found: float | int | str | None = None
    for number, value in _fields(content):
        if number == ATTRIBUTE_NAME:
            name = _text(value)
        elif number == ATTRIBUTE_INT and isinstance(value, int):
            found = value - (1 << 64) if value >> 63 else value
        elif number == ATTRIBUTE_FLOAT and isinstance(value, memoryview):
            found = struct.unpack("<f", value)[0]
        elif number == ATTRIBUTE_TEXT:
            found = _text(value)
    return {} if found is None else {name: found}


def _tensor(content: memoryview, files: _Files) -> tuple[str, Array]:
    name, shape, kind, raw = "", [], 0, memoryview(b"")
    outside: dict[str, str] = {}
    for number, value in _fields(content):
        if number == TENSOR_DIMS:
            shape += [value] if isinstance(value, int) else list(_varints(value))
        elif number == TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == TENSOR_NAME:
            name = _text(value)
        elif number == TENSOR_RAW:
            raw = _message(value)
        elif number == TENSOR_EXTERNAL:
            outside.update([_entry(_message(value))])
    if kind not in TYPES:
        raise ValueError(f"tensor {name!r} has a type that is not read")
    if outside:
        raw = files.part(outside)
    return name, np.frombuffer(raw, TYPES[kind]).reshape(shape)


def _entry(content: memoryview) -> tuple[str, str]:
    found = {number: _text(value) for number, value in _fields(content)}
    return found.get(ENTRY_KEY, ""), found.get(ENTRY_VALUE, "")


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an integer, or its bytes."""
    place, end = 0, len(content)
    while place < end:
        tag, place = _varint(content, place)
        kind = tag & 7
        if kind == VARINT:
            value, place = _varint(content, place)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, place = _varint(content, place)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"a field of wire type {kind}")
        if size > end - place:
            raise ValueError("a field goes beyond its message")
        yield tag >> 3, content[place : place + size]
        place += size


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            break
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number without end")


def _varints(content: memoryview) -> Iterator[int]:
    place = 0
    while place < len(content):
        value, place = _varint(content, place)
        yield value


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def _text(value: int | memoryview) -> str:
    return str(_message(value), "utf-8")
