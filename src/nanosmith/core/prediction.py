"""Prediction: one answer with its probabilities; Predictor: anything that answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from nanosmith.core.example import Input
from nanosmith.core.task import Task, Value


class Far(Protocol):
    """How far out of scope one input is, in [0, 1]; may be computed when it is asked for."""

    @property
    def value(self) -> float: ...


class FieldAnswer(msgspec.Struct, frozen=True):
    """One field of a record, or one entity (`name` is then its label): its JSON `value` (None where it is missing), how
    likely it is right, in [0, 1], and the characters [start, end) that it was copied from: of the text that the model
    reads, for an entity of the last user turn."""

    name: str
    value: Any
    confidence: float | None
    spans: tuple[tuple[int, int], ...] = ()


class Prediction(msgspec.Struct, frozen=True):
    """One answer.

    `probabilities` has one calibrated value in [0, 1] per entry of `labels`: they sum to 1 for `choice`, and are
    independent for `labels`. `confidence` in [0, 1] is the probability that `value` is right, or None when the
    predictor was not calibrated. `tokens` counts what was read; `dropped_tokens` what a length limit cut off.

    `out_of_scope` in [0, 1] tells how little the input looks like any label's examples, None where nothing tells it; it
    is `refused` from 0.5 on, and `answer` is then `none_label`, where the predictor has one. `value` stays the best
    label. `fields` are a record's, in its order; entities follow. `is_kept`: it was given before, and kept.
    """

    value: Value
    confidence: float | None
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    by: str
    tokens: int = 0
    dropped_tokens: int = 0
    far: Far | None = None
    none_label: str | None = None
    fields: tuple[FieldAnswer, ...] = ()
    is_kept: bool = False

    @property
    def out_of_scope(self) -> float | None:
        return None if self.far is None else self.far.value

    @property
    def refused(self) -> bool:
        """Whether the input is taken for one that is about none of the labels."""
        return self.out_of_scope is not None and self.out_of_scope >= 0.5

    @property
    def sureness(self) -> float | None:
        """What a route compares with a threshold: the confidence (of a record, that of its least sure field), less the
        further the input is out of scope; docs/certificates.md has figures. None where the model was not calibrated."""
        sure = [field.confidence for field in self.fields] or [self.confidence]
        known = [one for one in sure if one is not None]
        return min(known) * (1 - (self.out_of_scope or 0.0) ** 2) if len(known) == len(sure) else None

    @property
    def answer(self) -> Value:
        """What is answered: `value`, or `none_label` in its place."""
        return self.none_label if self.none_label is not None and self.refused else self.value

    def top(self, n: int) -> list[tuple[str, float]]:
        """The `n` most probable labels with their probabilities, most probable first."""
        return sorted(zip(self.labels, self.probabilities, strict=True), key=lambda pair: -pair[1])[:n]


@runtime_checkable
class Predictor(Protocol):
    """Everything that answers: a local bundle, a remote endpoint, a route over several."""

    @property
    def name(self) -> str: ...

    @property
    def task(self) -> Task: ...

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """One Prediction per input, in order. An empty input list gives an empty list."""
        ...
