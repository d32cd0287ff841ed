"""label_model: a model answers with a label; 1 where it is one of those that pass, else 0."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_LABELS
from nanosmith.score.graders.asking import ask, refuse_asking
from nanosmith.score.graders.grade import BaseGrader, Context, Grade, GradingError, Name, SamplingParams, Tools, failed
from nanosmith.score.graders.messages import Items, check_items, refuse_items

Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024)]
Labels: TypeAlias = Annotated[list[Label], Meta(min_length=1, max_length=MAX_LABELS)]


class LabelModelGrader(BaseGrader, frozen=True, tag="label_model"):
    model: Name
    input: Items
    labels: Labels
    passing_labels: Labels

    def refuse(self, where: str, tools: Tools) -> None:
        unknown = set(self.passing_labels) - set(self.labels)
        if unknown:
            raise InputError(
                "a passing label is not among the labels", got=repr(min(unknown)[:80]), param=f"{where}.passing_labels"
            )
        refuse_items(self.input, f"{where}.input")
        refuse_asking(where, tools)

    def check(self, where: str) -> None:
        check_items(self.input, f"{where}.input")

    def grade(self, context: Context) -> Grade:
        """An answer that is none of the labels is no grade."""
        answer = ask(self.model, self.input, context, SamplingParams())
        label = answer.text.strip()
        if label not in self.labels:
            error = GradingError(
                "the model's answer is none of the labels", got=repr(label[:80]), flag="model_grader_parse_error"
            )
            return failed(error, (answer,))
        return Grade(float(label in self.passing_labels), answers=(answer,))
