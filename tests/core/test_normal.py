"""From a copied text to the value of a record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.errors import InputError
from nanosmith.core.normal import normalise


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("verbatim", " A \n b", '" A \\n b"'),
        ("spaces", " A \n b", '"A b"'),
        ("nospace", "A \n b", '"Ab"'),
        ("tight", "NO . 5 , JALAN - X ( a )", '"NO. 5, JALAN-X (a)"'),
        ("commas", "NO 5 ,JALAN 1,000", '"NO 5, JALAN 1,000"'),
        ("strip", "“Acme Inc.”", '"Acme Inc"'),
        ("digits", "+1 (555) 12", '"155512"'),
        ("alnum+upper", "de-12 x", '"DE12X"'),
        ("spaces+lower", "A  B", '"a b"'),
        ("spaces+title", "ANN  SMITH", '"Ann Smith"'),
        ("integer", "5 adults", "5"),
        ("integer", "5.5", None),
        ("number", "RM 1,234.50", "1234.5"),
        ("number:comma", "1.500", "1500"),
        ("float", "7", "7.0"),
        ("percent", "12.5 %", "0.125"),
        ("fixed:2", "$8.7", '"8.70"'),
        ("date:dmy:%Y-%m-%d", "3 May 2026", '"2026-05-03"'),
        ("time:%H:%M", "7pm", '"19:00"'),
        ("spaces+number", "one  hundred", "100"),
        ("number+spaces", "5", None),
    ],
)
def test_normalise(name: str, text: str, value: str | None) -> None:
    """Every step does what its name says; steps follow each other; what cannot be a value is None."""
    assert normalise(name, text) == value


@pytest.mark.parametrize("name", ["", "spacing", "fixed", "fixed:x", "date:%Y", "date:dmy:%Q", "time:", "number:point"])
def test_unknown_names(name: str) -> None:
    """A name that no normaliser has is refused."""
    with pytest.raises(InputError):
        normalise(name, "1")


@given(st.text(), st.sampled_from(["spaces", "tight", "commas", "nospace", "strip+lower", "alnum", "spaces+commas"]))
def test_twice_is_once(text: str, name: str) -> None:
    """What was normalised stays as it is."""
    once = normalise("+".join((name, "verbatim")), text)
    assert once is not None
    assert normalise(f"{name}+{name}", text) == once


@given(st.text(max_size=60), st.sampled_from(["number", "date:mdy:%d.%m.%Y", "time:%H:%M", "percent", "fixed:2"]))
def test_any_text(text: str, name: str) -> None:
    """Any text gives a value or None."""
    value = normalise(name, text)
    assert value is None or isinstance(value, str)
