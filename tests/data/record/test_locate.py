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
