"""The JSON objects of a file: JSON lines, one document, or pages of a list, as the API and its clients print them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nanosmith.data.lines import BOM, decode_object, json_objects, text_lines
from nanosmith.data.problem import Problem
from nanosmith.data.reading import BadLine, Reading

MAX_DOCUMENT_BYTES = 64 * 1024**2  # of a file that is one JSON document
PEEK_LINES = 20
DEEPEST = 3  # lists in lists


class Object(NamedTuple):
    """`line` is 1-based, None in a document."""

    line: int | None
    record: dict[str, Any]


def objects(path: Path, reading: Reading) -> Iterator[Object]:
    """The objects of a file that `file_problem` has nothing against; what cannot be read becomes a Problem.

    JSON lines: the first line is an object, or one of the first lines is and the file is no document.
    """
    texts = [text for _, text in islice(text_lines(path, Reading()), PEEK_LINES) if text is None or text.strip()]
    if not texts or not _is_object(texts[0]):
        try:
            document = _document(path)
        except BadLine as bad:
            if None not in texts and (_is_list(texts) or not any(map(_is_object, texts))):
                reading.problems.append(Problem("error", bad.code, bad.message, None, bad.remedy))
                return
        else:
            yield from (Object(None, one) for one in _entries(document))
            return
    for line, record in json_objects(path, reading):
        yield from (Object(line, one) for one in _entries(record))


def _is_object(text: str | None) -> bool:
    try:
        return text is not None and bool(decode_object(text))
    except BadLine:
        return False


def _is_list(texts: list[str | None]) -> bool:
    return bool(texts) and (texts[0] or "").lstrip().startswith("[")


def _document(path: Path) -> Any:
    """Raises BadLine."""
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        message = f"one JSON document of more than {MAX_DOCUMENT_BYTES // 1024**2} MiB"
        raise BadLine("large_document", message, "Write one object per line (JSONL), or split it.")
    try:
        return msgspec.json.decode(path.read_bytes().removeprefix(BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadLine("json_error", f"neither JSON lines nor a JSON document: {error}", "Export it again.") from None


def _entries(content: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """An object itself, or those in a list or in pages of one."""
    page = isinstance(content, dict) and content.get("object", "list") == "list" and content.get("data")
    if isinstance(page, list):
        content = page
    if isinstance(content, dict):
        yield content
    elif isinstance(content, list) and depth < DEEPEST:
        for one in content:
            yield from _entries(one, depth + 1)


def first_problem(problems: list[Problem]) -> str:
    """The first of them in words, and how many follow."""
    more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
    place = f"line {problems[0].line}: " if problems[0].line else ""
    return f"{place}{problems[0].message}{more}. {problems[0].remedy or ''}".rstrip()
