"""A remote model that is asked for a label: the task of a local model, and its answer as a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nanosmith.core.example import Input
from nanosmith.core.manifest import Manifest
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task, Value
from nanosmith.predict.endpoint.catalogue import Remote
from nanosmith.predict.endpoint.dialects.dialect import count
from nanosmith.predict.endpoint.prompt import body_of
from nanosmith.predict.endpoint.reading import answered, probabilities_of

TOP_LOGPROBS = 20


class Asked(msgspec.Struct, frozen=True):
    """A remote model as answers show one; its `manifest` is that of the local model whose labels it was asked for."""

    name: str
    manifest: Manifest
    fingerprint: str


def label_body(remote: Remote, task: Task, given: Input) -> dict[str, Any]:
    """The request. What a model is not known to be able to do is not asked for."""
    body = body_of(task, given, remote.model)
    if remote.model.can("temperature"):
        body["temperature"] = 0
    if task.kind == "choice" and remote.model.can("logprobs"):
        body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
    return body


def label_prediction(remote: Remote, task: Task, completion: Mapping[str, Any]) -> tuple[Prediction, float | None]:
    """The answer, and its label's probability where the model tells it. Without one the label has all of it. Raises
    EndpointError for an answer that is none of the task's."""
    value, choice = answered(remote.name, task, completion), completion["choices"][0]
    told = probabilities_of(task.labels, choice.get("logprobs")) if task.kind == "choice" else None
    read = count((completion.get("usage") or {}).get("prompt_tokens"))
    shares = told or tuple(float(_is(label, value)) for label in task.labels)
    prediction = Prediction(value, None, task.labels, shares, remote.name, tokens=read)
    return prediction, told[task.labels.index(str(value))] if told else None


def _is(label: str, value: Value) -> bool:
    return label == value if isinstance(value, str) else label in value
