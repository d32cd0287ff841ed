"""Every problem code is documented, and every documented code exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nanosmith.data

SOURCE = Path(nanosmith.data.__file__).parent
DOCS = Path(__file__).parents[2] / "docs" / "data.md"
PLACES = {
    "Problem": 1,
    "BadLine": 0,
    "warn": 0,
    "warning": 0,
    "_error": 0,
    "_shared": 0,
}  # argument that holds the code


def codes_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            place = PLACES.get(name, len(node.args))
            if place < len(node.args) and isinstance(node.args[place], ast.Constant):
                yield node.args[place].value  # type: ignore[attr-defined]


def used() -> set[str]:
    return {code for path in SOURCE.rglob("*.py") for code in codes_in(path)}


def headings() -> list[str]:
    return re.findall(r"^### `(\w+)`", DOCS.read_text(encoding="utf-8"), re.MULTILINE)


def test_codes_are_found() -> None:
    """The search through the source finds codes of every way to report them."""
    known = {
        "json_error",
        "missing_file",
        "few_examples",
        "duplicates",
        "answer_before_user",
        "shared_text",
        "unlocated",
    }
    assert known <= used()


def test_every_code_has_its_heading() -> None:
    """docs/data.md has exactly one heading for each code, and none for a code that does not exist."""
    assert sorted(headings()) == sorted(used())
