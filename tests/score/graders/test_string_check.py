"""string_check: the four comparisons."""

from __future__ import annotations

import pytest
from tests.score.graders.helpers import grade, grader

from nanosmith.score.graders.grade import GradingError


def check(operation: str, given: str, reference: str) -> float:
    made = grader("string_check", input="{{sample.output_text}}", reference="{{item.r}}", operation=operation)
    return grade(made, {"r": reference}, given).reward


@pytest.mark.parametrize(
    ("operation", "given", "reference", "reward"),
    [
        ("eq", "Yes", "Yes", 1), ("eq", "Yes", "yes", 0), ("eq", "Yes ", "Yes", 0),
        ("ne", "Yes", "Yes", 0), ("ne", "Yes", "yes", 1),
        ("like", "The answer is Yes.", "Yes", 1), ("like", "yes", "Yes", 0), ("like", "Yes", "The answer is Yes.", 0),
        ("like", "abc", "a%", 0), ("like", "abc", "", 1),
        ("ilike", "the answer is YES.", "yes", 1), ("ilike", "STRASSE", "straße", 1), ("ilike", "no", "yes", 0),
    ],
)  # fmt: skip
def test_operations(operation: str, given: str, reference: str, reward: float) -> None:
    """eq and ne compare letter by letter; like means that the input contains the reference, ilike in any case."""
    assert check(operation, given, reference) == reward


def test_check_names_the_field() -> None:
    """A template that cannot be read is an error of its field."""
    made = grader("string_check", input="a", reference="{{x}}", operation="eq")
    with pytest.raises(GradingError) as caught:
        made.check("grader")
    assert caught.value.param == "grader.reference"
