"""Whether a local answer is the teacher's, how sure it is, and what a request and its answer look like."""

from __future__ import annotations

import msgspec

from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task, Value
from nanosmith.score.drift import Sight
from nanosmith.score.items import record_key

NO_LABEL = "(none)"
NEVER = -1.0
"""How sure an answer is that a route never gives: out of scope, or of a model that was not calibrated."""


def sureness(answer: Prediction) -> float:
    """What is compared with the threshold."""
    return NEVER if answer.refused or answer.sureness is None else answer.sureness


def same(task: Task, ours: Value, theirs: Value | None) -> bool:
    """Whether two answers are the same; records whatever the order of their fields."""
    if task.kind == "record" and isinstance(ours, str) and isinstance(theirs, str):
        return ours == theirs or record_key(msgspec.json.decode(ours)) == record_key(msgspec.json.decode(theirs))
    return ours == theirs


def sight_of(task: Task, given: Input, answer: Prediction) -> Sight:
    """What a request and its local answer look like."""
    chars = len(task.text_of(given))
    tokens = max(1, answer.tokens + answer.dropped_tokens)
    return Sight(sureness(answer), label_of(task, answer.answer), chars, chars / tokens)


def label_of(task: Task, value: Value) -> str:
    """The name that an answer is counted by, a set of labels being one; empty for a record and a text."""
    if task.kind not in ("choice", "labels"):
        return ""
    return value if isinstance(value, str) else ", ".join(value) or NO_LABEL
