"""OpenAI's preference format: `{"input": {"messages": […]}, "preferred_output": […], "non_preferred_output": […]}`.
Each output is one assistant message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanosmith.core.example import Example, Message
from nanosmith.core.limits import MAX_MESSAGES
from nanosmith.data.lines import json_objects
from nanosmith.data.readers.chat import ROLE_NAMES, ROLES, content_text
from nanosmith.data.reading import BadLine, Reading, json_type

PREFERRED, OTHER = "preferred_output", "non_preferred_output"
SHAPE = (
    '{"input": {"messages": [{"role": "user", "content": "…"}]}, "preferred_output": [{"role": "assistant", "content": '
    '"…"}], "non_preferred_output": [{"role": "assistant", "content": "…"}]}'
)


def read(path: Path) -> Reading:
    """Read every line; the preferred answer is the Example's, the other one is `rejected`."""
    reading = Reading()
    for line, record in json_objects(path, reading):
        with reading.line(line):
            reading.claim_id(record.get("id"), line)
            reading.examples.append(_example(record, line))
    return reading


def check_record(record: Mapping[str, Any]) -> None:
    """Raises BadLine unless this is a preference."""
    _example(record, 1)


def _example(record: Mapping[str, Any], line: int) -> Example:
    given = record.get("input")
    messages = _messages(given.get("messages") if isinstance(given, dict) else None, "input.messages")
    if messages[-1].role not in ("user", "tool", "function"):
        raise BadLine("bad_preference", f"`input` ends with a message of the role {messages[-1].role}",
                      "End it with the user's message; the answers stand in the outputs.")  # fmt: skip
    better, worse = (_answer(record.get(name), name) for name in (PREFERRED, OTHER))
    if better == worse:
        raise BadLine("equal_preference", "both outputs are the same", "Remove the line.")
    return Example(messages, better, line, rejected=worse)


def _answer(output: object, where: str) -> str:
    found = _messages(output, where)
    if len(found) != 1 or found[0].role != "assistant":
        raise BadLine("bad_preference", f"`{where}` has to be one assistant message", f"Write {SHAPE}.")
    if not found[0].content.strip():
        raise BadLine("empty_answer", f"`{where}` is empty", "Write the answer, or remove the line.")
    return found[0].content


def _messages(content: object, where: str) -> tuple[Message, ...]:
    if not isinstance(content, list) or not content or len(content) > MAX_MESSAGES:
        got = json_type(content) if not isinstance(content, list) else f"a list of {len(content):,}"
        raise BadLine("bad_preference", f"`{where}` is {got}; 1 to {MAX_MESSAGES:,} messages are needed",
                      f"Write {SHAPE}.")  # fmt: skip
    found = []
    for number, message in enumerate(content, start=1):
        place = f"{where}, message {number}"
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise BadLine("bad_message", f"{place} has no known role", f"Use one of: {ROLE_NAMES}.")
        found.append(Message(message["role"], content_text(message.get("content"), place)))
    return tuple(found)
