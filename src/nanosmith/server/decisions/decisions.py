"""/v1/decisions: typed answers with probabilities, read off one prediction of a classifier.

A question is answered only where it can be matched to the model's labels; docs/api.md has the rules.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from nanosmith.core.errors import InputError, did_you_mean
from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction
from nanosmith.core.structs import to_struct
from nanosmith.core.task import Task
from nanosmith.server.chat.completions import answerable
from nanosmith.server.chat.request import IGNORED_HEADER, refused
from nanosmith.server.decisions.request import (
    IGNORED,
    Choice,
    ChoiceQuestion,
    DecisionRequest,
    PredicateQuestion,
    Question,
    ScoreQuestion,
    text_of,
    turns,
)
from nanosmith.server.http.wire import json_response
from nanosmith.server.models.cache import OpenModel
from nanosmith.server.models.explanations import explanation
from nanosmith.server.models.turns import as_input, check_chars, remarks
from nanosmith.server.services import services
from nanosmith.server.watch.tally import count_tokens

IS_IT = re.compile(r'(?:is (?:it|this)(?: about)? )?["“`](?P<label>.+)["”`]\s*\??', re.IGNORECASE | re.DOTALL)
"""Instructions that ask for one label: `"refund"`, `is it "refund"?`, `is this about "refund"?`."""
SHOWN_LABELS = 5
Predicted: TypeAlias = Callable[[Input], Awaitable[tuple[Prediction, dict[str, str]]]]
"""From an input to its prediction, and the headers that tell of it."""


async def create(request: Request, given: dict[str, Any]) -> Response:
    """The answers of the model that the body `given` names."""
    cache, asked = services(request).models, to_struct(given, DecisionRequest)
    model = await cache.get(asked.model)

    async def predicted(read: Input) -> tuple[Prediction, dict[str, str]]:
        prediction = await cache.predict(model, read)
        return prediction, remarks(prediction)

    return await decide(request, asked, model, predicted)


async def decide(request: Request, asked: DecisionRequest, model: OpenModel, predicted: Predicted) -> Response:
    """The answers to questions about the labels of `model`, read off what is `predicted`."""
    read = as_input(turns(asked.input), "input")
    check_chars((_instructions(question, i) for i, question in enumerate(asked.questions)), "questions")
    _check_kind(model)
    if asked.nanosmith is not None and asked.nanosmith.fields:
        raise refused("nanosmith.fields", "decisions are about labels", "fields false")
    ask = [matched(question, i, _task(question, model)) for i, question in enumerate(asked.questions)]
    prediction, headers = await predicted(read)
    if idle := [name for name in IGNORED if getattr(asked, name) is not None]:
        headers[IGNORED_HEADER] = ", ".join(idle)
    answers = [
        answer(question, labels, probabilities(prediction, labels))
        for question, labels in zip(asked.questions, ask, strict=True)
    ]
    used = usage(prediction, len(answers))
    count_tokens(request, used["total_tokens"], model=model.name)
    made: dict[str, Any] = {"model": model.name, "answers": answers, "usage": used}
    about = _explained_labels(ask, prediction)
    ours = (await explanation(request, asked.nanosmith, model, read, about)).get("nanosmith", {})
    if prediction.out_of_scope is not None:
        ours |= {"out_of_scope": {"score": prediction.out_of_scope, "refused": prediction.refused}}
    made |= {"nanosmith": ours} if ours else {}
    return json_response(made, headers=headers)


def _check_kind(model: OpenModel) -> None:
    if model.manifest.task.kind not in ("choice", "labels"):
        raise InputError(
            "decisions are read off a model's labels, and this one has none",
            got=f"a model of kind {model.manifest.task.kind}", allowed="choice or labels", param="model",
            remedy="Ask it with /v1/chat/completions.", code="unsupported_model",
        )  # fmt: skip


def _explained_labels(ask: Sequence[Sequence[str]], prediction: Prediction) -> tuple[str, ...]:
    """The most probable label of each question, once, among those that the model gives scores to."""
    by_label = dict(zip(prediction.labels, prediction.probabilities, strict=True))
    known = [[label for label in labels if label in by_label] for labels in ask]
    return tuple(dict.fromkeys(max(labels, key=by_label.__getitem__) for labels in known if labels))


def matched(question: Question, index: int, task: Task) -> list[str]:
    """The model's label for each option of a question, in order. Raises InputError where there is none."""
    where = f"questions[{index}]"
    if isinstance(question, PredicateQuestion):
        return [_predicate_label(question, where, task)]
    if task.kind != "choice":
        raise InputError(
            "this model gives each label on its own, so its labels do not compete",
            where=where, remedy="Ask one predicate per label.", param=where,
        )  # fmt: skip
    if isinstance(question, ChoiceQuestion):
        found = [_choice_label(c, f"{where}.choices[{i}].value", task) for i, c in enumerate(question.choices)]
        return _unique(found, f"{where}.choices")
    return _unique(_level_labels(question, where, task), f"{where}.levels")


def probabilities(prediction: Prediction, labels: Sequence[str]) -> dict[str, float]:
    """By label. Where the label for "out of scope" is among the offered `labels`, its probability is the score, and the
    others share the rest."""
    by_label = dict(zip(prediction.labels, prediction.probabilities, strict=True))
    none, score = prediction.none_label, prediction.out_of_scope
    if none is None or score is None or none not in labels:
        return by_label
    return {label: (1 - score) * p for label, p in by_label.items()} | {none: score}


def _task(question: Question, model: OpenModel) -> Task:
    """The labels that a question may be about: all that may be answered; the levels of a score are the classes."""
    return model.manifest.task if isinstance(question, ScoreQuestion) else answerable(model)


def answer(question: Question, labels: Sequence[str], by_label: Mapping[str, float]) -> dict[str, Any]:
    """The answer in OpenAI's shape; a refusal when the model gives none of the options any probability."""
    if isinstance(question, PredicateQuestion):
        return {"type": "predicate", "name": question.name, "probability": min(1.0, by_label[labels[0]])}
    total = sum(by_label[label] for label in labels)
    if total <= 0:
        return {"type": "refusal", "name": question.name}
    shares = [by_label[label] / total for label in labels]
    if isinstance(question, ChoiceQuestion):
        return _choice(question, shares)
    return _score(question, shares)


def usage(prediction: Prediction, answers: int) -> dict[str, Any]:
    """Each answer counts as one token."""
    return {
        "input_tokens": prediction.tokens, "output_tokens": answers, "total_tokens": prediction.tokens + answers,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip


def _choice(question: ChoiceQuestion, shares: Sequence[float]) -> dict[str, Any]:
    best = max(range(len(shares)), key=shares.__getitem__)
    rows = [{"value": c.value, "probability": p} for c, p in zip(question.choices, shares, strict=True)]
    return {
        "type": "choice", "name": question.name, "choice": question.choices[best].value, "confidence": shares[best],
        "probabilities": rows,
    }  # fmt: skip


def _score(question: ScoreQuestion, shares: Sequence[float]) -> dict[str, Any]:
    """Levels count from 0; the score is the expected level."""
    rows = [
        {"label": level.label, "value": value, "probability": p}
        for value, (level, p) in enumerate(zip(question.levels, shares, strict=True))
    ]
    return {
        "type": "score", "name": question.name, "score": sum(value * p for value, p in enumerate(shares)),
        "confidence": max(shares), "probabilities": rows,
    }  # fmt: skip


def _choice_label(choice: Choice, where: str, task: Task) -> str:
    """A string stands for the label of the same text; a boolean for the label "true" or "false", in any case."""
    if isinstance(choice.value, str):
        return _known(choice.value, where, task)
    wanted = str(choice.value).lower()
    return next((label for label in task.labels if label.lower() == wanted), None) or _known(wanted, where, task)


def _predicate_label(question: PredicateQuestion, where: str, task: Task) -> str:
    """The label that a predicate is about: its name, or its instructions, or the label quoted in `is it "label"?`."""
    if question.name in task.labels:
        return str(question.name)
    text = text_of(question.instructions, f"{where}.instructions").strip()
    quoted = IS_IT.fullmatch(text)
    for said in (text, quoted["label"] if quoted else ""):
        if said in task.labels:
            return said
    near = did_you_mean(quoted["label"] if quoted else text[:200], task.labels)
    raise InputError(
        "this predicate names no label of the model, and a classifier knows nothing else",
        got=repr(text[:80]), allowed=_some(task.labels), where=where, param=f"{where}.instructions",
        remedy=near or 'Give the question a label as its name, or ask: is it "LABEL"?',
    )  # fmt: skip


def _level_labels(question: ScoreQuestion, where: str, task: Task) -> list[str]:
    labels = [level.label for level in question.levels]
    if set(labels) != set(task.labels):
        raise InputError(
            "a score is answered only where the levels are exactly the model's labels",
            where=where, got=_some(labels), allowed=_some(task.labels), param=f"{where}.levels",
        )  # fmt: skip
    return labels


def _known(label: str, where: str, task: Task) -> str:
    if label in task.labels:
        return label
    raise InputError(
        "the model does not know this choice",
        got=repr(label[:80]), allowed=_some(task.labels), where=where, param=where,
        remedy=did_you_mean(label[:200], task.labels),
    )  # fmt: skip


def _unique(labels: list[str], where: str) -> list[str]:
    twice = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
    if twice is not None:
        raise InputError("two options mean the same label", got=repr(twice[:80]), where=where, param=where)
    return labels


def _instructions(question: Question, index: int) -> str:
    return text_of(question.instructions, f"questions[{index}].instructions")


def _some(labels: Iterable[str]) -> str:
    names = list(labels)
    rest = len(names) - SHOWN_LABELS
    return ", ".join(names[:SHOWN_LABELS]) + (f" and {rest} more" if rest > 0 else "")
