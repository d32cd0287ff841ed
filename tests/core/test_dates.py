"""Dates and times as people write them."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.dates import NO_YEAR, read_date, read_time, written_date, written_time
from nanosmith.core.normal import normalise


@pytest.mark.parametrize(
    "text",
    [
        "2018-05-07", "2018/5/7", "7.5.2018", "07/05/18", "7 May 2018", "7th of May, 2018", "May 7, 2018", "07-MAY-18",
        "7May2018", "20180507", "07 MAY 2018 18:21", "2018-05-07T10:00:00Z", "2018 May 7",
    ],
)  # fmt: skip
def test_dates(text: str) -> None:
    """One day in many writings, the day before the month."""
    assert read_date(text, "dmy") == date(2018, 5, 7)


@pytest.mark.parametrize(
    "text",
    [
        "7. Mai 2018", "le 7 mai 2018", "7 de mayo de 2018", "7 maggio 2018", "7 de maio de 2018", "7 mei 2018",
        "2018年5月7日", "2018년 5월 7일",
    ],
)  # fmt: skip
def test_dates_of_other_languages(text: str) -> None:
    """The names of months are read in German, French, Spanish, Italian, Portuguese and Dutch."""
    assert read_date(text, "dmy") == date(2018, 5, 7)


@pytest.mark.parametrize(
    ("text", "month"),
    [("1er août 2018", 8), ("1. März 2018", 3), ("1 MARS 2018", 3), ("1 dez. 2018", 12), ("1 de setembro de 2018", 9)],
)
def test_months_of_other_languages(text: str, month: int) -> None:
    """With accents, ordinals, short forms and capitals."""
    assert read_date(text, "dmy") == date(2018, month, 1)


def test_words_that_are_no_months() -> None:
    """Words that only begin like a month, or are one in another language alone, are none."""
    assert read_date("3 days ago 2018", "dmy") is None
    assert read_date("1 maison 2018", "dmy") is None


def test_the_order_of_numbers() -> None:
    """The order decides what numbers alone say, unless they can only be read in one way."""
    assert read_date("05/07/2018", "mdy") == date(2018, 5, 7)
    assert read_date("05/13/2018", "dmy") == date(2018, 5, 13)
    assert read_date("18/05/07", "ymd") == date(2018, 5, 7)
    assert read_date("1/2/75", "dmy") == date(1975, 2, 1)


@pytest.mark.parametrize("text", ["", "45/45/2018", "May", "12", "31 February 2018", "1.2"])
def test_no_dates(text: str) -> None:
    """What is no day of the calendar is none."""
    assert read_date(text, "dmy") is None


def test_dates_without_a_year() -> None:
    """They are written by formats without a year alone."""
    found = read_date("March 10th", "dmy")
    assert found == date(NO_YEAR, 3, 10)
    assert normalise("date:dmy:%m-%d", "the 10th of March") == '"03-10"'
    assert normalise("date:dmy:%Y-%m-%d", "the 10th of March") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7pm", time(19)), ("7:30 p.m.", time(19, 30)), ("19.30", time(19, 30)), ("12 am", time(0)),
        ("12:15pm", time(12, 15)),
        ("noon", time(12)), ("1430", time(14, 30)), ("14:05:09", time(14, 5, 9)), ("25:00", None), ("13 pm", None),
        ("later", None),
    ],
)  # fmt: skip
def test_times(text: str, value: time | None) -> None:
    """Hours of both kinds, with and without minutes."""
    assert read_time(text) == value


@given(
    st.dates(date(1970, 1, 1), date(2069, 12, 31)), st.sampled_from(["%Y-%m-%d", "%d %B %Y", "%b %-d, %Y", "%d.%m.%y"])
)
def test_dates_are_read_as_they_are_written(day: date, form: str) -> None:
    """Reading inverts writing."""
    assert read_date(written_date(day, form), "dmy") == day


@given(st.times(), st.sampled_from(["%H:%M:%S", "%I:%M:%S %p"]))
def test_times_are_read_as_they_are_written(at: time, form: Any) -> None:
    """Reading inverts writing, to the second."""
    if form == "%H:%M:%S":
        assert read_time(written_time(at, form)) == at.replace(microsecond=0, tzinfo=None)
    else:
        assert read_time(written_time(at, "%I:%M %p")) == at.replace(second=0, microsecond=0, tzinfo=None)
