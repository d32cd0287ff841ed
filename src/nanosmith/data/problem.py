"""What is wrong with a data file: one line of the file, one Problem."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

SHOWN_CHARS = 60


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


class Grouped(NamedTuple):
    """Problems that differ in their line only: `lines 3, 4: what is wrong`."""

    text: str
    remedy: str | None
    examples: tuple[str, ...]


def grouped(problems: Iterable[Problem], most: int) -> tuple[list[Grouped], int]:
    """Problems with equal words together, in order of first occurrence, and how many are left out: `most` are named."""
    lines: dict[tuple[str, str | None, tuple[str, ...]], list[int | None]] = {}
    for problem in problems:
        lines.setdefault((problem.message, problem.remedy, problem.examples), []).append(problem.line)
    named, room = [], most
    for (message, remedy, examples), where in lines.items():
        if room > 0:
            place = "" if examples else _place([line for line in where[:room] if line is not None], len(where) > room)
            named.append(Grouped(place + message, remedy, examples))
        room -= len(where)
    return named, max(0, -room)


def _place(lines: list[int], is_cut: bool) -> str:
    if not lines:
        return ""
    numbers = ", ".join(map(str, lines)) + (", …" if is_cut else "")
    return f"line{'s' if len(lines) > 1 or is_cut else ''} {numbers}: "


def shown(text: str, chars: int = SHOWN_CHARS) -> str:
    """A text in quotes on one line, cut to `chars` characters; control characters are escaped, personal data masked."""
    from nanosmith.data.audit.pii import mask_pii  # its patterns are compiled where a text is shown, not before

    short = " ".join(mask_pii(text[: 4 * chars]).split())
    short = short if len(short) <= chars else short[: chars - 1] + "…"
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in short) + '"'
