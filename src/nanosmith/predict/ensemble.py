"""Several predictors that answer as one, with the mean of their probabilities.

Letters: M members, L labels.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from nanosmith.core.errors import InputError
from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.task import Task


class Ensemble:
    """Members with the same labels. A label of a set is answered where most members answer it; an input is refused
    where most refuse it."""

    def __init__(self, members: Sequence[Predictor]) -> None:
        """Raises InputError unless all members answer with the same labels."""
        self.members = tuple(members)
        self.name = ",".join(member.name for member in members)
        self.task: Task = members[0].task
        for member in members:
            task = member.task
            if not task.labels or (task.kind, task.labels) != (self.task.kind, self.task.labels):
                raise InputError(
                    "an ensemble's members answer with the same labels", got=f"{member.name} and {members[0].name}",
                    remedy="Name bundles that were tuned on the same labels.",
                )  # fmt: skip

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return list(self.stream(inputs))

    def stream(self, inputs: Sequence[Input]) -> Iterator[Prediction]:
        """The same as `predict`, one at a time."""
        return map(self._answer, inputs)

    def _answer(self, given: Input) -> Prediction:
        answers = [member.predict([given])[0] for member in self.members]
        probabilities = tuple(statistics.fmean(column) for column in zip(*(one.probabilities for one in answers)))
        if self.task.kind == "choice":
            best = max(range(len(probabilities)), key=probabilities.__getitem__)
            value: str | tuple[str, ...] = self.task.labels[best]
            confidence: float | None = probabilities[best]
        else:
            votes = [sum(label in one.value for one in answers) for label in self.task.labels]
            value = tuple(label for label, n in zip(self.task.labels, votes) if 2 * n > len(answers))
            known = [one.confidence for one in answers if one.confidence is not None and one.value == value]
            confidence = sum(known) / len(answers) if known else None
        shown = sorted(answers, key=lambda one: one.out_of_scope or 0.0)[len(answers) // 2]  # the median's scope
        return replace(shown, value=value, confidence=confidence, probabilities=probabilities, by=self.name)
