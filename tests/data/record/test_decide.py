"""Chosen or copied?"""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.record import Field
from nanosmith.data.record.columns import ABSENT, Column, Unlike
from nanosmith.data.record.decide import decide
from nanosmith.data.record.locate import Text

N = 60
NAMES = [f"name{chr(97 + i % 26)}{i}" for i in range(N)]


def decided(values: list[Any], texts: list[str] | None = None, **options: Any) -> Field:
    looked_in = [Text(text) for text in texts or ["nothing to see"] * len(values)]
    return decide(Column(("f",), values), looked_in, **options).field


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["EUR"] * N, Field(("f",), "constant", ('"EUR"',))),
        ([None] * N, Field(("f",), "constant", ("null",))),
        ([True, False] * 30, Field(("f",), "choice", ("false", "true"))),
        ([True, None] * 30, Field(("f",), "choice", ("null", "true"))),
        (["a", "b", ABSENT] * 20, Field(("f",), "choice", ('"a"', '"b"'), missing="absent")),
        (["a", ABSENT] * 30, Field(("f",), "choice", ('"a"',), missing="absent")),
        ([1, 2, 3] * 20, Field(("f",), "choice", ("1", "2", "3"))),
        ([["a", "b"], ["a"], []] * 20, Field(("f",), "choices", ('"a"', '"b"'))),
    ],
)
def test_closed_sets(values: list[Any], expected: Field) -> None:
    """Values that recur, and are not in the texts, are chosen; booleans and one value always."""
    assert decided(values) == expected


def test_copies() -> None:
    """Values that stand in the texts and are mostly new are copied; what is missing is kept in mind."""
    texts = [f"I am {name.upper()}" for name in NAMES]
    assert decided(NAMES, texts) == Field(("f",), "span", normal="spaces+lower")
    missing = [name if i % 3 else "" for i, name in enumerate(NAMES)]
    assert decided(missing, texts) == Field(("f",), "span", normal="spaces+lower", missing="empty")
    lists = [[name] if i % 3 else None for i, name in enumerate(NAMES)]
    assert decided(lists, texts) == Field(("f",), "spans", normal="spaces+lower", missing="null")


def test_closed_sets_that_stand_in_the_texts() -> None:
    """A few values that recur are chosen; many, of which some are rare, are copied, as new ones will come."""
    few = ["small", "large", "medium"] * 20
    assert decided(few, [f"a {value} one" for value in few]).type == "choice"
    many = [f"town{i % 25}" for i in range(N)]
    assert decided(many, [f"to {value} now" for value in many]).type == "span"
    assert decided(few, [f"a {value} one" for value in few], is_open=True).type == "span"


def test_lists_that_follow_the_text() -> None:
    """Lists of few values whose order is that of the texts are copied; in alphabetical order they are chosen."""
    lists = [["desk", "lamp"], ["lamp", "desk"], ["mat"]] * 20
    texts = [f"we need {' and '.join(items)}" for items in lists]
    assert decided(lists, texts).type == "spans"
    assert decided([sorted(items) for items in lists], texts).type == "choices"


def test_the_order_of_choices() -> None:
    """Values that are chosen stand in the order of the examples' lists; what a missing list is, is kept."""
    lists = [["low", "mid", "high"], ["mid", "high"], ["low", "high"], None] * 15
    assert decided(lists) == Field(("f",), "choices", ('"low"', '"mid"', '"high"'), missing="null")


def test_neither() -> None:
    """Values that are new and not in the texts are open."""
    replies = [f"We answer {name} soon, number {i}!" for i, name in enumerate(NAMES)]
    decision = decide(Column(("f",), replies), [Text("?")] * N)
    assert decision.open
    assert "only 0 % of its values" in decision.why
    rewritten = [f"{name[:5]} {name[5:]}" for name in NAMES]
    assert decide(Column(("f",), rewritten), [Text(name) for name in NAMES]).open


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([["a"], "b"] * 30, "a list in some answers"),
        ([[{"x": i}] for i in range(N)], "a list of objects"),
        ([i if i % 2 else f"text {i}" for i in range(N)], "several types: number, text"),
    ],
)
def test_no_field(values: list[Any], said: str) -> None:
    """Values that no field could have are told."""
    with pytest.raises(Unlike, match=said):
        decided(values)
