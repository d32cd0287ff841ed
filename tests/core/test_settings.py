"""Settings."""

from __future__ import annotations

import contextlib
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.errors import InputError
from nanosmith.core.settings import TuneSettings, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), (" 1.5 h ", 5400), ("0.5s", 0.5), ("500us", 0.0005)],
)
def test_durations(text: str, seconds: float) -> None:
    """Numbers with or without a unit."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "0", "0.0h", "-5m", "5 minutes", "1e3", "nan", "inf", "5m3s", "9" * 400])
def test_no_durations(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(InputError, match="5m"):
        parse_duration(text)


@given(st.text(max_size=10))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    """No text gives a duration that is not above zero and finite."""
    with contextlib.suppress(InputError):
        assert 0 < parse_duration(text) < math.inf


def test_unknown_setting_is_refused() -> None:
    """A misspelt key of a settings file is an error, not ignored."""
    with pytest.raises(msgspec.ValidationError, match="epoch"):
        msgspec.convert({"epoch": 3}, TuneSettings)
