"""The OpenAI chat format for supervised fine-tuning: one conversation per line, `{"messages": […]}`.

Every assistant message whose `weight` is not 0 is a wanted answer, with the messages before it as its input; one line
may therefore hold several Examples. An assistant message may call a function: its arguments are then the answer. A
teacher's `probabilities` may stand beside `messages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nanosmith.core.example import Example, Message
from nanosmith.core.limits import MAX_MESSAGES
from nanosmith.core.task import SYSTEM_ROLES
from nanosmith.data.detect import foreign
from nanosmith.data.lines import json_objects
from nanosmith.data.readers.calls import Call, calls_of, claim_answer, claim_schema
from nanosmith.data.reading import BadLine, Reading, json_type
from nanosmith.data.rows import soft_labels

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
ROLE_NAMES = ", ".join(ROLES)
SHAPE = 'Write {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}.'


class _Turn(NamedTuple):
    message: Message
    is_target: bool
    calls: list[Call]


def read(path: Path) -> Reading:
    """Read every line; keys that are not part of the format are ignored."""
    reading = Reading()
    prompts: dict[Message, Message] = {}
    for line, record in json_objects(path, reading):
        with reading.line(line):
            turns = [_shared(turn, prompts) for turn in _turns(record)]
            reading.claim_id(record.get("id"), line)
            _add_examples(reading, line, turns, soft_labels(record))
            claim_schema(reading, record)
    return reading


def check_record(record: Mapping[str, Any]) -> None:
    """Raises BadLine unless this is a training example."""
    _check_conversation(_turns(record))


def open_turns(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """What a conversation asks: its turns without an answer at the end. Raises BadLine."""
    turns = [turn.message for turn in _turns(record)]
    while turns and turns[-1].role == "assistant":
        turns.pop()
    if not any(turn.role == "user" and turn.content.strip() for turn in turns):
        raise BadLine("no_user", "there is no user message to answer", "Add the user's text.")
    return tuple(turns)


def _shared(turn: _Turn, prompts: dict[Message, Message]) -> _Turn:
    """Keep one copy of a system prompt that many lines repeat."""
    if turn.message.role not in SYSTEM_ROLES:
        return turn
    return _Turn(prompts.setdefault(turn.message, turn.message), False, [])


def _add_examples(reading: Reading, line: int, turns: list[_Turn], soft: Mapping[str, float] | None) -> None:
    """`soft` belongs to the last answer of the line."""
    _check_conversation(turns)
    messages = tuple(turn.message for turn in turns)
    users = [i for i, message in enumerate(messages) if message.role == "user"]
    for i, turn in enumerate(turns, start=1):
        if turn.is_target:
            claim_answer(reading, turn.calls, f"message {i}")
    early = any(turn.is_target for turn in turns[: users[0]])
    last = max((i for i, turn in enumerate(turns) if turn.is_target), default=-1)
    for i in range(users[0], len(turns)):
        if turns[i].is_target:
            own = soft if i == last else None
            reading.examples.append(Example(messages[:i], messages[i].content, line, soft=own))
    if early:
        message = "an assistant message stands before the first user message; it is not learnt"
        reading.warn("answer_before_user", message, line, 'Give it "weight": 0 to confirm.')
    if messages[-1].role != "assistant":
        message = f"the last message ({messages[-1].role}) has no answer; it is not learnt"
        reading.warn("unanswered_turn", message, line, "Add the wanted answer, or remove the message.")


def _check_conversation(turns: list[_Turn]) -> None:
    """Raises BadLine where there is nothing to learn, or a user or wanted text is empty."""
    roles = [turn.message.role for turn in turns]
    if "assistant" not in roles:
        raise BadLine("no_assistant", "there is no assistant message", "Add the wanted answer as an assistant message.")
    targets = [i for i, turn in enumerate(turns) if turn.is_target]
    if not targets:
        raise BadLine("no_target", "every assistant message has weight 0", "Give the wanted answer weight 1.")
    if "user" not in roles[: targets[-1]]:
        raise BadLine("no_user", "there is no user message before the answer", "Add the user's text before it.")
    for i, (message, is_target, _) in enumerate(turns, start=1):
        if is_target and not message.content.strip():
            raise BadLine("empty_answer", f"message {i}: the answer is empty", "Write the answer, or remove the line.")
        if message.role == "user" and not message.content.strip():
            raise BadLine("empty_text", f"message {i}: the user's text is empty", "Write a text, or remove the line.")


def _turns(record: Mapping[str, Any]) -> list[_Turn]:
    """The checked messages of a line. Raises BadLine."""
    if other := foreign(record):
        raise other
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        got = f"`messages` is {json_type(messages)}" if "messages" in record else "there are no `messages`"
        raise BadLine("no_messages", f"{got}; a list with at least one message is needed", SHAPE)
    if len(messages) > MAX_MESSAGES:
        message = f"too many messages (got {len(messages):,}; allowed {MAX_MESSAGES:,})"
        raise BadLine("many_messages", message, "Split the conversation, or keep its newest messages.")
    return [_turn(message, f"message {i}") for i, message in enumerate(messages, start=1)]


def _turn(message: object, where: str) -> _Turn:
    if not isinstance(message, dict):
        raise BadLine("bad_message", f"{where} is {json_type(message)}, not an object", SHAPE)
    role = message.get("role")
    if role is None:
        raise BadLine("missing_role", f"{where} has no `role`", f"Add one of: {ROLE_NAMES}.")
    if role not in ROLES:
        raise BadLine("unknown_role", f"{where} has an unknown role, {str(role)[:80]!r}", f"Use one of: {ROLE_NAMES}.")
    is_target = role == "assistant" and _weight(message.get("weight"), where) == 1
    calls = calls_of(message, where) if role == "assistant" else []
    if calls:
        return _Turn(Message(role, "\n".join(call.arguments for call in calls)), is_target, calls)
    return _Turn(Message(role, content_text(message.get("content"), where)), is_target, [])


def _weight(weight: object, where: str) -> int:
    if weight is None:
        return 1
    if isinstance(weight, bool) or weight not in (0, 1):
        raise BadLine("bad_weight", f"{where}: weight is {str(weight)[:80]!r}", "Use 1 (learn it) or 0 (context only).")
    return int(weight)


def content_text(content: object, where: str = "message") -> str:
    """The text of a message's `content`: a string, or a list of text parts joined by line breaks. Raises BadLine."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        got = json_type(content)
        raise BadLine("bad_content", f"{where}: `content` is {got}", "Write a string or a list of text parts.")
    return "\n".join(_part_text(part, where) for part in content)


def _part_text(part: object, where: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    got = part.get("type") if isinstance(part, dict) else json_type(part)
    message = f"{where}: a part of `content` is not text (got {str(got)[:80]!r})"
    raise BadLine("bad_content", message, 'Use parts such as {"type": "text", "text": "…"} only.')
