"""What an object is, told by its content alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from nanosmith.data.detect import foreign

Kind: TypeAlias = Literal[
    "examples", "eval_rows", "refused_examples", "job", "completion", "message", "eval", "file", "left", "unknown"
]
WHOLE_FILE: tuple[Kind, ...] = ("examples", "eval_rows", "refused_examples")
"""Kinds of lines; a file whose first object is one holds nothing else."""
OBJECTS: dict[str, Kind] = {
    "fine_tuning.job": "job", "chat.completion": "completion", "eval": "eval", "file": "file",
}  # fmt: skip
STAYS = {
    "fine_tuning.job.event": ("events of a job", "a new job tells its own"),
    "fine_tuning.job.checkpoint": ("checkpoints", "the vendor does not hand out weights"),
    "model": ("models", "the vendor does not hand out weights; a new job makes a model from the same file"),
    "eval.run": ("runs of an eval", "they measured the vendor's models; run the eval again"),
    "eval.run.output_item": ("results of an eval run", "they measured the vendor's models; run the eval again"),
    "batch": ("batches", "they have ended; send the input file again"),
    "batch input": ("requests of a batch", "upload the file with purpose batch to have them answered again"),
    "batch output": ("answers of a batch", "they are no training examples without their requests"),
    "import plan": ("plans of nanosmith import", "each import makes a new one"),
    "response": ("responses", "only chat completions become training examples"),
}  # fmt: skip
"""What stays with the vendor or is of no use here: what it is, and why."""
REINFORCEMENT = (
    "these are lines of reinforcement fine-tuning (RFT), which is not supported: there is no wanted answer to learn. "
    "Add the wanted answer as an assistant message."
)
MESSAGE_ID = re.compile(r"(.+)-\d+")
"""Of a message of a stored completion, whose id comes first."""


def kind_of(record: Mapping[str, Any]) -> Kind:
    name = record.get("object")
    if isinstance(name, str) and name in OBJECTS:
        return OBJECTS[name]
    if stays_as(record) is not None:
        return "left"
    if isinstance(record.get("completion"), dict) and "messages" in record:
        return "completion"
    if refusal(record) is not None:
        return "refused_examples"
    if "messages" in record or ("text" in record and ("label" in record or "labels" in record)):
        return "examples"
    if isinstance(record.get("item"), dict):
        return "eval_rows"
    return "message" if completion_of(record) is not None else "unknown"


def stays_as(record: Mapping[str, Any]) -> str | None:
    """The key in STAYS of what does not come along; None for anything else."""
    name = record.get("object")
    if isinstance(name, str) and name in STAYS:
        return name
    if "custom_id" in record and "body" in record:
        return "batch input"
    if record.keys() == {"counts", "items"}:
        return "import plan"
    return "batch output" if "custom_id" in record and "response" in record else None


def refusal(record: Mapping[str, Any]) -> str | None:
    """Why a line of another training format cannot be learnt from; None for any other line."""
    if bad := foreign(record):
        return f"{bad.message}. {bad.remedy}"
    messages = record.get("messages")
    if not isinstance(messages, list) or len(record) < 2:
        return None
    roles = [one.get("role") for one in messages if isinstance(one, dict)]
    asked = bool(roles) and "assistant" not in roles and roles[-1] in ("user", "developer")
    return REINFORCEMENT if asked and not record.keys() <= {"messages", "tools", "functions", "id"} else None


def completion_of(record: Mapping[str, Any]) -> str | None:
    """The id of the stored completion whose message this is; None for anything else."""
    id = record.get("id")
    found = MESSAGE_ID.fullmatch(id) if isinstance(id, str) and isinstance(record.get("role"), str) else None
    return found[1] if found else None
