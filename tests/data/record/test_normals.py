"""Which normaliser makes the values."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.data.record.locate import Text
from nanosmith.data.record.normals import best_normal


@pytest.mark.parametrize(
    ("pairs", "normal"),
    [
        ([("Ann Lee", "from Ann Lee."), ("Bob", "Bob here")], "verbatim"),
        ([("Ann Lee", "from Ann\nLee."), ("Bob", "Bob here")], "spaces"),
        ([("ann lee", "from Ann Lee."), ("bob", "BOB here")], "spaces+lower"),
        ([("A, B", "A,B"), ("C, D", "C , D")], "spaces+commas"),
        ([("DE12", "de 12"), ("FR7", "fr 7")], "nospace+upper"),
        ([("8.70", "$8.7 paid"), ("1200.00", "1,200 in all")], "fixed:2"),
        ([(5, "5 seats"), (22, "twenty-two seats")], "integer"),
        ([(5.5, "5.50 EUR"), (7, "7 EUR")], "number"),
        ([(5.0, "5 EUR"), (7.5, "7.50 EUR")], "float"),
        ([(5.5, "5,50 EUR"), (1000, "1.000 EUR")], "number:comma"),
        ([(0.05, "5 % off"), (0.125, "12.5% off")], "percent"),
        ([("2018-05-07", "on 7 May 2018"), ("2018-01-31", "on 31/01/18")], "date:dmy:%Y-%m-%d"),
        ([("2018-05-07", "on 5/7/2018"), ("2018-01-31", "on 1/31/2018")], "date:mdy:%Y-%m-%d"),
        ([("07/05/2018", "on May 7, 2018"), ("31/01/2018", "on 31 Jan 2018")], "date:dmy:%d/%m/%Y"),
        ([("19:00", "at 7 pm"), ("08:30", "at 8.30")], "time:%H:%M"),
    ],
)
def test_the_best_normaliser(pairs: list[tuple[Any, str]], normal: str) -> None:
    """The simplest one that explains all values."""
    fit = best_normal([value for value, _ in pairs], [Text(text) for _, text in pairs])
    assert (fit.normal, fit.explained, fit.located) == (normal, 1.0, 1.0)


def test_values_that_are_not_there() -> None:
    """Nothing is explained; a value that is there in other words is located."""
    fit = best_normal(["a reply", "b c"], [Text("question"), Text("b - c")])
    assert (fit.explained, fit.located) == (0.0, 0.5)
