"""Which format a file has, by its content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from nanosmith.data.lines import decode_object, text_lines
from nanosmith.data.problem import Problem, shown
from nanosmith.data.readers.conll import looks_like
from nanosmith.data.reading import BadLine, Reading

LOOKED_AT = 20  # lines that are not blank
ALLOWED = (
    'Use {"messages": […]} (chat), {"text", "label"}, {"text", "entities"} or {"text", "output"} as JSON lines, CSV '
    "with a header, or CoNLL lines."
)


def detect(path: Path) -> str | Problem:
    """The name of a reader, or the Problem of a file that none can read."""
    first = [(n, text) for n, text in islice(text_lines(path, Reading()), 2 * LOOKED_AT) if text and text.strip()]
    if first and first[0][1].strip()[0] == "[":
        return _not_lines(first[0][0])
    opened = False
    for line, text in first[:LOOKED_AT]:
        start = text.lstrip()[0]
        if start == "{":
            opened = True
            try:
                return _format_of(decode_object(text), line)
            except BadLine:
                continue
    if opened:
        # an object over several lines, or lines that its reader will report one by one
        return _not_lines(first[0][0]) if first[0][1].strip() == "{" else "chat"
    return _without_objects(path, first)


def foreign(record: Mapping[str, Any]) -> BadLine | None:
    """The name of an OpenAI training format that is known but not supported, as an error."""
    if "prompt" in record and "completion" in record:
        remedy = "Write the prompt as a user message and the completion as an assistant message of the chat format."
        return BadLine("completions_format", "this is the prompt/completion format, which is not supported", remedy)
    if "input" in record and ("preferred_output" in record or "preferred_completion" in record):
        remedy = "Preferences are learnt from a file that holds nothing else (method dpo)."
        return BadLine("preference_format", "this is a line of the preference (DPO) format", remedy)
    return None


def _format_of(record: Mapping[str, Any], line: int) -> str | Problem:
    if "messages" in record:
        return "chat"
    if "input" in record and "preferred_output" in record:
        return "preference"
    if other := foreign(record):
        return Problem("error", other.code, other.message, line, other.remedy)
    if "text" in record:
        return "jsonl"
    keys = ", ".join(map(shown, list(record)[:10])) or "none"
    return Problem("error", "unknown_format", f"the format is not known (got the keys {keys})", line, ALLOWED)


def _not_lines(line: int) -> Problem:
    message = "the file is one JSON document, not JSON lines"
    return Problem("error", "not_json_lines", message, line, "Write one JSON object per line, no list.")


def _without_objects(path: Path, first: list[tuple[int, str]]) -> str | Problem:
    if not first:
        return "csv" if path.suffix.lower() == ".csv" else "chat"  # the reader says what is wrong with each line
    line, text = first[0]
    if path.suffix.lower() != ".csv" and looks_like([text for _, text in first]):
        return "conll"
    if path.suffix.lower() == ".csv" or re.search(r"\btext\b", text, re.IGNORECASE):
        return "csv"
    return Problem("error", "unknown_format", f"the format is not known (got {shown(text)})", line, ALLOWED)
