"""score_model: a model answers with a number, which is the reward, cut to its range."""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.score.graders.asking import ask, refuse_asking
from nanosmith.score.graders.grade import BaseGrader, Context, Grade, GradingError, Name, SamplingParams, Tools, failed
from nanosmith.score.graders.messages import Items, check_items, refuse_items

Range: TypeAlias = Annotated[list[float], Meta(min_length=2, max_length=2)]


class Scored(msgspec.Struct, frozen=True):
    """The form in which OpenAI asks its models for a score; they may say more beside it."""

    result: float


class ScoreModelGrader(BaseGrader, frozen=True, tag="score_model"):
    model: Name
    input: Items
    range: Range | None = None
    sampling_params: SamplingParams | None = None
    pass_threshold: float | None = None

    def refuse(self, where: str, tools: Tools) -> None:
        low, high = self.range or (0.0, 1.0)
        if not low < high:
            raise InputError(
                "a range rises from its first number to its second", got=self.range, param=f"{where}.range"
            )
        refuse_items(self.input, f"{where}.input")
        refuse_asking(where, tools)

    def check(self, where: str) -> None:
        check_items(self.input, f"{where}.input")

    def grade(self, context: Context) -> Grade:
        """An answer that is no number is no grade."""
        answer = ask(self.model, self.input, context, self.sampling_params or SamplingParams())
        try:
            score = number_in(answer.text)
        except GradingError as error:
            return failed(error, (answer,))
        low, high = self.range or (0.0, 1.0)
        return Grade(min(high, max(low, score)), answers=(answer,))


def number_in(text: str) -> float:
    """An answer as a finite number: `0.8`, or `{"result": 0.8}`. Raises GradingError."""
    try:
        score = float(text)
    except ValueError:
        score = _result_in(text)
    if math.isfinite(score):
        return score
    raise GradingError(
        "the model's answer is not a number", got=repr(text.strip()[:80]), flag="model_grader_parse_error"
    )


def _result_in(text: str) -> float:
    try:
        return msgspec.json.decode(text, type=Scored).result
    except (msgspec.MsgspecError, RecursionError):
        return math.nan
