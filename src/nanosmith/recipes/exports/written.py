"""What a writer of exports tells."""

from __future__ import annotations

from typing import Any

import msgspec


class Written(msgspec.Struct, frozen=True):
    """`graph` is the file to open, `operators` by domain with their version, `about` what the example must know of the
    graph, `notes` sentences for a person."""

    graph: str
    operators: dict[str, int] = {}
    about: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
