"""The formula of a multi grader: arithmetic over the rewards of its sub-graders.

Parsed with Python's grammar, then walked: only what is listed here is computed, and nothing is ever executed.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from typing import NoReturn

from nanosmith.core.limits import MAX_FORMULA_CHARS
from nanosmith.score.graders.grade import GradingError

MAX_DEPTH = 32
OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,  # of floats: too large is an error, where whole numbers would grow for ever
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": lambda *values: min(values),
    "max": lambda *values: max(values),
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}
MANY_ARGUMENTS = ("min", "max")
ALLOWED = "numbers, the names of the graders, + - * / ^ ( ) and " + ", ".join(FUNCTIONS)


def parse_formula(text: str, names: Collection[str], where: str | None = None) -> ast.expr:
    """The checked formula. Raises GradingError for what is not arithmetic, and for names that no grader has."""
    if len(text) > MAX_FORMULA_CHARS:
        _wrong("the formula is too long", f"{len(text)} characters", where, f"{MAX_FORMULA_CHARS} characters")
    try:
        # OpenAI writes powers as ^, which means something else to Python.
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        _wrong(f"the formula cannot be read: {getattr(error, 'msg', None) or type(error).__name__}", text, where)
    _check(tree, names, where, MAX_DEPTH)
    return tree


def evaluate(formula: ast.expr, rewards: Mapping[str, float]) -> float:
    """The value of a checked formula. Raises GradingError where it has none: 1/0, log(0), too large."""
    try:
        value = _value(formula, rewards)
    except (ArithmeticError, ValueError) as error:
        raise _no_value(str(error)) from error
    if not math.isfinite(value):
        raise _no_value("not a finite number")
    return value


def _check(node: ast.expr, names: Collection[str], where: str | None, depth: int) -> None:
    if depth == 0:
        _wrong("the formula is nested too deeply", type(node).__name__, where, f"{MAX_DEPTH} levels")
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            parts: list[ast.expr] = []
        case ast.Name(id=name):
            parts = []
            if name not in names:
                _wrong("the formula names no grader", name, where, ", ".join(names))
        case ast.BinOp(left=left, right=right) if type(node.op) in OPERATORS:
            parts = [left, right]
        case ast.UnaryOp(operand=operand) if type(node.op) in OPERATORS:
            parts = [operand]
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as parts, keywords=[]) if name in FUNCTIONS:
            if len(parts) > 1 and name not in MANY_ARGUMENTS:
                _wrong(f"{name} takes one value", f"{len(parts)} values", where)
        case _:
            _wrong("the formula has a part that is not arithmetic", type(node).__name__, where)
    for part in parts:
        _check(part, names, where, depth - 1)


def _value(node: ast.expr, rewards: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return rewards[name]
        case ast.BinOp(left=left, right=right):
            return OPERATORS[type(node.op)](_value(left, rewards), _value(right, rewards))
        case ast.UnaryOp(operand=operand):
            return OPERATORS[type(node.op)](_value(operand, rewards))
        case ast.Call(func=ast.Name(id=name), args=parts):
            return float(FUNCTIONS[name](*(_value(part, rewards) for part in parts)))
    raise AssertionError(f"a formula that was not checked: {type(node).__name__}")


def _wrong(what: str, got: str, where: str | None, allowed: str = ALLOWED) -> NoReturn:
    raise GradingError(what, got=repr(got[:80]), allowed=allowed, where=where, param=where, flag="formula_parse_error")


def _no_value(why: str) -> GradingError:
    return GradingError(f"the formula has no value for these rewards: {why}", flag="other_error")
