"""What a large model is asked, so that it answers in the form of a task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nanosmith.core.example import Input, as_messages
from nanosmith.core.task import SYSTEM_ROLES, Task
from nanosmith.predict.endpoint.catalogue import RemoteModel

CHOICE = (
    "Classify the user's text. Answer with exactly one of these labels, as written here, and nothing else:\n{labels}"
)
LABELS = (
    "Classify the user's text. Answer with a JSON list of those of these labels that apply, as written here, and "
    "nothing else; [] where none does:\n{labels}"
)
RECORD = "Answer with one JSON object that follows the given schema, and nothing else."
SLACK = 16  # tokens beside a label: quotes, a line break
CHARS_PER_TOKEN = 3  # few, so that an answer is not cut
CHARS_PER_PROMPT_TOKEN = 4  # on the average of English texts
MESSAGE_TOKENS = 4
REASONING_TOKENS = 256  # a guess of what a model thinks before a short answer
MAX_THOUGHT_TOKENS = 4_096
SPARE_TOKENS = 256  # where nobody knows whether a model thinks first
MAX_TEMPLATE_TOKENS = 32  # that a provider puts around a message
MAX_ANSWER_TOKENS = 2_048


def body_of(task: Task, given: Input, model: RemoteModel) -> dict[str, Any]:
    """A body of OpenAI's chat completions. The turns are sent as they are; what is wanted joins the system prompt."""
    turns = as_messages(given)
    prompts = [turn.content for turn in turns if turn.role in SYSTEM_ROLES]
    if instruction := _instruction(task):
        prompts.append(instruction)
    messages = [{"role": "system", "content": "\n\n".join(prompts)}] if prompts else []
    messages += [{"role": turn.role, "content": turn.content} for turn in turns if turn.role not in SYSTEM_ROLES]
    return {"messages": messages, "max_tokens": answer_tokens(task) + _more_tokens(model)}


def _more_tokens(model: RemoteModel) -> int:
    """What a model may write before its answer. It is bounded, so that the dearest answer is known."""
    thinks = model.can("reasoning")
    return MAX_THOUGHT_TOKENS if thinks else SPARE_TOKENS if thinks is None else 0


def response_format(task: Task) -> dict[str, Any] | None:
    """What makes a provider that can follow a schema follow the task's."""
    if task.record is None or not task.record.schema:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(task.record.schema)}}


def answer_tokens(task: Task) -> int:
    """The most that an answer may have."""
    if task.kind == "choice":
        return SLACK + max((len(label.encode()) for label in task.labels), default=0) // CHARS_PER_TOKEN
    if task.kind == "labels":
        return SLACK + sum(len(label.encode()) + 4 for label in task.labels) // CHARS_PER_TOKEN
    return MAX_ANSWER_TOKENS


def estimated(body: Mapping[str, Any], task: Task, model: RemoteModel) -> tuple[int, int]:
    """About how many tokens a body has, and its answer: by characters, as no tokenizer of others is here."""
    chars = sum(len(message["content"]) for message in body["messages"])
    tokens = chars // CHARS_PER_PROMPT_TOKEN + MESSAGE_TOKENS * len(body["messages"])
    likely = {"choice": 4, "labels": 12}.get(task.kind, 200)
    return tokens, likely + (REASONING_TOKENS if model.can("reasoning") else 0)


def bound_of(body: Mapping[str, Any]) -> tuple[int, int]:
    """The most tokens that a body and its answer can have: no tokenizer makes more tokens than bytes."""
    read = sum(len(message["content"].encode("utf-8", "replace")) + MAX_TEMPLATE_TOKENS for message in body["messages"])
    return read + len(json.dumps(body.get("response_format") or "")), body["max_tokens"]


def _instruction(task: Task) -> str | None:
    listed = "\n".join(f"- {label}" for label in task.labels)
    if task.kind == "choice":
        return CHOICE.format(labels=listed)
    if task.kind == "labels":
        return LABELS.format(labels=listed)
    return RECORD if task.kind == "record" else None
