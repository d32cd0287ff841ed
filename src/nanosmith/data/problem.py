"""What is wrong with a data file: one line of the file, one Problem."""

from __future__ import annotations

from typing import Literal

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """`error` stops a tuning run, `warning` does not. `line` is 1-based, None where the whole file is meant.

    `code` is stable and has a heading in docs/data.md; `count` and `examples` are given where several lines are meant.
    """

    level: Literal["error", "warning"]
    code: str
    message: str
    line: int | None = None
    remedy: str | None = None
    count: int = 1
    examples: tuple[str, ...] = ()
