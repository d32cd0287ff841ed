"""What a record is: a JSON object of one shape, whose fields are chosen from closed sets or copied from the input.

Also entities with offsets, which are a field of their own. JSON values stand as JSON texts where they must be hashable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

FieldType: TypeAlias = Literal["choice", "choices", "span", "spans", "constant"]
Missing: TypeAlias = Literal["absent", "null", "empty"]
ENTITIES = "entities"


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field, at the keys `path` from the root.

    choice    one of `values`, each a JSON text: strings, numbers, true, false, null
    choices   a list of some of `values`
    span      a text copied from the input and normalised by `normal`, a name that `nanosmith.core.normal` knows
    spans     a list of such texts, in the order of the input
    constant  always `values[0]`

    `missing` is what stands there when a span is not in the input: no key, null, or an empty text or list (None: the
    field is never missing, the likeliest span is taken). Where a `choice` may be absent, `missing` says "absent" and
    "absent" is one more class.
    """

    path: tuple[str, ...]
    type: FieldType
    values: tuple[str, ...] = ()
    normal: str = "verbatim"
    missing: Missing | None = None

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object at the keys `path` in place of which null or an empty object stands where all its fields are absent."""

    path: tuple[str, ...]
    missing: Literal["null", "empty"]


class RecordForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All fields of a record, in the order in which they are written.

    `entities` are the labels of entities with offsets; where there are any, each answer has a key "entities" with a
    list of {"label", "start", "end", "text"}, sorted by place: characters [start, end) of the last user turn. `schema`
    is the JSON schema that every answer obeys. `function` names the function whose arguments the record is, where the
    examples' answers were calls of it. `inner` objects stand there without fields too, the outer ones first.
    """

    fields: tuple[Field, ...] = ()
    entities: tuple[str, ...] = ()
    schema: Mapping[str, Any] = {}
    function: str | None = None
    inner: tuple[Inner, ...] = ()


def canonical(answer: str) -> str:
    """The same JSON object, written in one way: compact, its keys in their order. Raises ValueError."""
    content = msgspec.json.decode(answer)
    if not isinstance(content, dict):
        raise ValueError("a record is a JSON object")
    return msgspec.json.encode(content).decode()
