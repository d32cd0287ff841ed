"""Where values stand in texts."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.data.record.locate import Text

RECEIPT = "ACME  Co.\n( Main  St. 5 )\nQTY 8\nTOTAL: $8.70\nCAFÉ 08/05/2018 8:30 pm for 2 adults, twenty-two kids"


@pytest.mark.parametrize(
    ("value", "normal", "found"),
    [
        ("acme co.", "verbatim", ["ACME  Co."]),
        ("Acme Co", "verbatim", ["ACME  Co"]),
        ("(Main St. 5)", "verbatim", ["( Main  St. 5 )"]),
        ("cafe", "verbatim", ["CAFÉ"]),
        ("8.70", "verbatim", ["8.70"]),
        ("$8.70", "verbatim", ["$8.70"]),
        ("8", "verbatim", ["8"]),
        ("ME", "verbatim", []),
        ("$", "verbatim", ["$"]),
        ("", "verbatim", []),
        (8.7, "number", ["8.70"]),
        (22, "integer", ["twenty-two"]),
        (2, "integer", ["2"]),
        (99, "integer", []),
        ("2018-05-08", "date:dmy:%Y-%m-%d", ["08/05/2018"]),
        ("20:30", "time:%H:%M", ["8:30 pm"]),
        (8.7, "verbatim", []),
    ],
)
def test_places(value: Any, normal: str, found: list[str]) -> None:
    """Copies are found case, accents, spaces and punctuation aside, as whole words; numbers and dates as well."""
    text = Text(RECEIPT)
    assert [text.text[slice(*place)] for place in text.places(value, normal)] == found


def test_several_places() -> None:
    """All of them, in the order of the text."""
    assert Text("Rome, rome and Romeo").places("Rome", "verbatim") == [(0, 4), (6, 10), (15, 19)]
    assert Text("1 2 1").places(1, "integer") == [(0, 1), (4, 5)]


@pytest.mark.parametrize(
    ("text", "value", "normal", "found"),
    [
        ("我要去北京住3晚", "北京", "verbatim", [(3, 5)]),
        ("我要去北京住3晚", 3, "integer", [(6, 7)]),
        ("番号１２３４です", "1234", "verbatim", [(2, 6)]),
        ("서울에서 봐요", "서울", "verbatim", [(0, 2)]),
        ("番号12345です", "234", "verbatim", []),
    ],
)
def test_scripts_without_spaces(text: str, value: Any, normal: str, found: list[tuple[int, int]]) -> None:
    """Beside letters of scripts that have no spaces a short value is whole; inside of a number it is not."""
    assert Text(text).places(value, normal) == found


@pytest.mark.parametrize(("text", "value"), [("raised $123k last year", 123_000), ("worth 1.5 million now", 1_500_000)])
def test_scaled_numbers(text: str, value: int) -> None:
    """A number is found with the word that scales it."""
    assert len(Text(text).places(value, "integer")) == 1
