"""Formulas: their values, what they refuse, and that nothing is executed."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.score.graders.formula import evaluate, parse_formula
from nanosmith.score.graders.grade import GradingError

REWARDS = {"a": 0.5, "b": 1.0, "zero": 0.0}


def value(text: str) -> float:
    return evaluate(parse_formula(text, REWARDS), REWARDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", 0.5), ("(a + b) / 2", 0.75), ("0.5 * a + 0.5 * b", 0.75), ("2^3", 8), ("2**3", 8), ("-2^2", -4),
        ("2 ^ 3 ^ 2", 512), ("1 + 2^2 * 3", 13), ("2^-1", 0.5), ("min(a, b, 3)", 0.5), ("max(a)", 0.5),
        ("abs(-a)", 0.5), ("floor(2.7) + ceil(2.1)", 5), ("exp(0) + log(1)", 1), ("sqrt(4)", 2), (" +a\n", 0.5),
        ("1e2", 100),
    ],
)  # fmt: skip
def test_arithmetic(text: str, expected: float) -> None:
    """The operators and functions that OpenAI lists have their usual values and precedence."""
    assert value(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    ["", "a +", "0.5 * a)", "c", "__import__('os').system('true')", "a.real", "a[0]", "'a'", "a if b else 1", "a < b",
     "[a]", "lambda: a", "(a := 1)", "True", "1j", "min()", "min(*a)", "log(a, 2)", "log(x=a)", "a(1)", "pow(a, b)",
     "a % b", "a // b", "not a", "f'{a}'", "a, b", "print", "a\0", "a; b", "min", "await a",
     "(" * 500 + "a" + ")" * 500, "-" * 900 + "a", "+".join(["a"] * 100), "a" * 1001],
)  # fmt: skip
def test_everything_else_cannot_be_read(text: str) -> None:
    """What is not arithmetic over the graders' names is a parse error with the field's name."""
    with pytest.raises(GradingError) as caught:
        parse_formula(text, REWARDS, "grader.calculate_output")
    assert caught.value.flag == "formula_parse_error"
    assert caught.value.param == "grader.calculate_output"
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text",
    ["a / zero", "log(zero)", "sqrt(-1)", "9^9^9^9", "exp(1000)", "1e999", "(-8)^0.5", "1e308 * 10", "zero^-1",
     "1e999 - 1e999", "floor(1e999)", "9" * 400],
)  # fmt: skip
def test_no_value(text: str) -> None:
    """A formula that has no finite value for these rewards is an error, at once."""
    with pytest.raises(GradingError) as caught:
        value(text)
    assert caught.value.flag == "other_error"


@given(st.text(alphabet="ab0.19+-*/^(), minxsqrtlo\n", max_size=60))
def test_any_text_has_a_finite_value_or_is_refused(text: str) -> None:
    """No text makes anything but a finite number or a GradingError."""
    with suppress(GradingError):
        assert math.isfinite(value(text))
