"""The answers of one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Value


class Written(NamedTuple):
    """How one text was written: nanoseconds to its first piece and to its end, and its number of tokens."""

    first_ns: int
    whole_ns: int
    tokens: int


class Run(NamedTuple):
    """Inputs, wanted answers, predictions and times of their calls, in the order of the examples (N).

    `others` are further wanted answers that are as good, empty or one tuple each (N); `written` tells of some of
    the texts how they came, piece by piece.
    """

    inputs: Sequence[Input]
    wanted: Sequence[Value]
    predictions: Sequence[Prediction]
    times_ns: Sequence[int]
    others: Sequence[Sequence[str]] = ()
    written: Sequence[Written] = ()

    @property
    def given(self) -> list[Value]:
        return [prediction.value for prediction in self.predictions]
