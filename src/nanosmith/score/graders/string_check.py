"""string_check: 1 or 0, by comparing two texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from nanosmith.score.graders.grade import BaseGrader, Context, Grade, Template
from nanosmith.score.graders.template import check_template, fill

Operation: TypeAlias = Literal["eq", "ne", "like", "ilike"]

COMPARE: dict[Operation, Callable[[str, str], bool]] = {
    "eq": lambda given, reference: given == reference,
    "ne": lambda given, reference: given != reference,
    "like": lambda given, reference: reference in given,
    "ilike": lambda given, reference: reference.casefold() in given.casefold(),
}
"""`like` is no pattern: the input contains the reference."""


class StringCheckGrader(BaseGrader, frozen=True, tag="string_check"):
    input: Template
    reference: Template
    operation: Operation

    def check(self, where: str) -> None:
        check_template(self.input, f"{where}.input")
        check_template(self.reference, f"{where}.reference")

    def grade(self, context: Context) -> Grade:
        passed = COMPARE[self.operation](fill(self.input, context), fill(self.reference, context))
        return Grade(float(passed))
