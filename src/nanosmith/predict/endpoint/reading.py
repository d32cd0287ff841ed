"""From what a large model wrote to a value of the task, and from its tokens' probabilities to those of labels."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nanosmith.core.errors import InputError
from nanosmith.core.json_schema import fits
from nanosmith.core.record import canonical
from nanosmith.core.task import Task, Value
from nanosmith.predict.endpoint.failure import WRONG_ANSWER, EndpointError

FENCE = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)
AROUND = " \t\r\n\"'`*.“”‘’"
SPACES = re.compile(r"[\s_\-]+")
PREFIX = re.compile(r"^(?:label|labels|answer|class|category|intent)\s*:\s*", re.IGNORECASE)
LEAST_MASS = 0.5  # of the first token's probability that must belong to labels


class WrongAnswer(Exception):
    """What was written is no answer of the task; the message says why."""


def value_of(task: Task, content: str) -> Value:
    """Raises WrongAnswer."""
    text = content.strip()
    if found := FENCE.match(text):
        text = found[1].strip()
    if task.kind == "choice":
        return _label(task, text)
    if task.kind == "labels":
        return _labels(task, text)
    return _record(task, text) if task.kind == "record" else _text(text)


def _label(task: Task, text: str) -> str:
    if text in task.labels:
        return text
    names = {plain(label): label for label in task.labels}
    if (found := names.get(plain(text))) is not None and len(names) == len(task.labels):
        return found
    try:  # in the form that the examples have, such as {"intent": "refund"}
        value = task.parse(text)
    except InputError:
        value = ""
    if value in task.labels and isinstance(value, str):
        return value
    raise WrongAnswer(f"{text[:80]!r} is none of the labels")


def _labels(task: Task, text: str) -> tuple[str, ...]:
    try:
        content = json.loads(text)
        parts = content if isinstance(content, list) else task.parse(text)
    except (ValueError, InputError, RecursionError):
        parts = text.split(",")
    names = {plain(label): label for label in task.labels}
    found = [part if part in task.labels else names.get(plain(str(part))) for part in parts if str(part).strip()]
    if None in found:
        raise WrongAnswer(f"{text[:80]!r} has others than the labels")
    return tuple(sorted({label for label in found if label is not None}))


def _record(task: Task, text: str) -> str:
    try:
        answer = canonical(text)
    except (ValueError, RecursionError):
        raise WrongAnswer(f"{text[:80]!r} is no JSON object") from None
    schema = dict(task.record.schema) if task.record is not None else {}
    if schema and not fits(json.loads(answer), schema, schema):
        raise WrongAnswer("the object does not fit the schema")
    return answer


def _text(text: str) -> str:
    if not text:
        raise WrongAnswer("the answer is empty")
    return text


def plain(text: str) -> str:
    """A label without case, quotes, a full stop, or what separates its words."""
    return SPACES.sub(" ", PREFIX.sub("", text.strip(AROUND)).strip(AROUND)).casefold()


def probabilities_of(labels: Sequence[str], logprobs: object) -> tuple[float, ...] | None:
    """One probability per label, summing to 1, from the `logprobs` of a choice whose content is a label; None where
    they tell too little.

    The labels are walked along the tokens that were written. At each, what the provider lists beside the written token
    belongs to the labels that begin so, in equal parts; the written token's share goes on to the next.
    """
    mass = dict.fromkeys(labels, 0.0)
    written, left = "", 1.0
    for token, top in _tokens(logprobs):
        path = _beginning(labels, written + token)
        if not path:
            break
        for other, share in top.items():
            if other != token:
                _spread(mass, written + other, left * share)
        left *= top[token]
        written += token
        if len(path) == 1:
            break
    if written:
        _spread(mass, written, left)
    total = sum(mass.values())
    return tuple(mass[label] / total for label in labels) if total >= LEAST_MASS else None


def _spread(mass: dict[str, float], text: str, share: float) -> None:
    """Give a share to the labels that begin with `text`; to that label alone, where it is one."""
    whole = text.strip()
    labels = [whole] if whole in mass else _beginning(list(mass), text)
    for label in labels:
        mass[label] += share / len(labels)


def _beginning(labels: Sequence[str], text: str) -> list[str]:
    return [label for label in labels if label.startswith(text.lstrip())]


def _tokens(logprobs: object) -> list[tuple[str, dict[str, float]]]:
    """Each written token with the probabilities of those in its place; nothing where the form is another."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    try:
        return [(str(token["token"]), _place(token)) for token in content or []]
    except (TypeError, KeyError, ValueError, AttributeError):
        return []


def _place(token: Mapping[str, Any]) -> dict[str, float]:
    top = {str(one["token"]): math.exp(min(0.0, float(one["logprob"]))) for one in token.get("top_logprobs") or []}
    return {**top, str(token["token"]): math.exp(min(0.0, float(token["logprob"])))}


def answered(name: str, task: Task, completion: Mapping[str, Any]) -> Value:
    """The value in the completion of the model `name`. Raises EndpointError, with the code WRONG_ANSWER where there is
    an answer, but none of the task."""
    choice = completion["choices"][0]
    reason, content = choice.get("finish_reason"), choice["message"].get("content")
    if reason == "content_filter" or choice["message"].get("refusal"):
        raise EndpointError("refused", f"{name} would not answer", code="content_filter")
    if reason == "length" and (task.kind in ("record", "text") or not content):
        raise EndpointError(
            "garbage", f"{name} did not come to an end", code=WRONG_ANSWER,
            remedy="If it thinks first, list reasoning among its capabilities in nanosmith.toml.",
        )  # fmt: skip
    try:
        return value_of(task, content if isinstance(content, str) else "")
    except WrongAnswer as error:
        raise EndpointError("garbage", f"{name} gave a wrong answer: {error}", code=WRONG_ANSWER) from None
