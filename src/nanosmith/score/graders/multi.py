"""multi: several graders, whose rewards a formula makes one."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_INPUT_CHARS, MAX_SUB_GRADERS
from nanosmith.score.graders.formula import FUNCTIONS, evaluate, parse_formula
from nanosmith.score.graders.grade import BaseGrader, Context, Grade, GradingError, Tools, attempt
from nanosmith.score.graders.label_model import LabelModelGrader
from nanosmith.score.graders.python import PythonGrader
from nanosmith.score.graders.score_model import ScoreModelGrader
from nanosmith.score.graders.string_check import StringCheckGrader
from nanosmith.score.graders.text_similarity import TextSimilarityGrader

SubGrader: TypeAlias = StringCheckGrader | TextSimilarityGrader | LabelModelGrader | ScoreModelGrader | PythonGrader
SubName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]


class MultiGrader(BaseGrader, frozen=True, tag="multi"):
    """The keys of `graders` are the names in the formula."""

    graders: Annotated[dict[SubName, SubGrader], Meta(min_length=1, max_length=MAX_SUB_GRADERS)]
    calculate_output: Annotated[str, Meta(min_length=1, max_length=MAX_INPUT_CHARS)]

    def refuse(self, where: str, tools: Tools) -> None:
        for name, grader in self.graders.items():
            if name in FUNCTIONS:
                raise InputError("a grader has the name of a function", got=name, param=f"{where}.graders.{name}")
            grader.refuse(f"{where}.graders.{name}", tools)

    def check(self, where: str) -> None:
        parse_formula(self.calculate_output, self.graders, f"{where}.calculate_output")
        for name, grader in self.graders.items():
            grader.check(f"{where}.graders.{name}")

    def grade(self, context: Context) -> Grade:
        """A sub-grader that fails counts as 0, and its reason is kept."""
        formula = parse_formula(self.calculate_output, self.graders)
        grades = {name: attempt(grader, context) for name, grader in self.graders.items()}
        rewards = {name: grade.reward for name, grade in grades.items()}
        flags = {flag for grade in grades.values() for flag in grade.flags}
        messages = [f"{name}: {message}" for name, grade in grades.items() for message in grade.messages]
        try:
            reward = evaluate(formula, rewards)
        except GradingError as error:
            reward = 0.0
            flags.add(error.flag)
            messages.append(str(error))
        answers = tuple(answer for grade in grades.values() for answer in grade.answers)
        return Grade(reward, frozenset(flags), tuple(messages), answers, rewards)
