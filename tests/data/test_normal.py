"""Texts compared without case, punctuation and spacing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.data.normal import groups, normalise


@pytest.mark.parametrize(
    ("first", "second"),
    [("Where's my card?", "wheres  my CARD"), ("top-up", "top up"), ("ﬁne", "fine"), ("Straße!", "STRASSE")],
)
def test_equal(first: str, second: str) -> None:
    """Case, punctuation, spacing and compatibility forms do not tell texts apart."""
    assert normalise(first) == normalise(second)


@pytest.mark.parametrize(
    ("first", "second"), [("C++", "C#"), ("👍", "👎"), ("5 %", "5 €"), ("?", "!"), ("schon", "schön")]
)
def test_different(first: str, second: str) -> None:
    """Signs that carry meaning tell texts apart, and so does punctuation where there is nothing else."""
    assert normalise(first) != normalise(second)


@given(st.text())
def test_stable(text: str) -> None:
    """Case and outer spaces never matter."""
    assert normalise(f"  {text}\n") == normalise(text)


@given(st.lists(st.integers(0, 3)))
def test_groups(keys: list[int]) -> None:
    """Every position is in exactly one group, with those of the same key."""
    found = groups(keys)
    assert sorted(i for group in found for i in group) == list(range(len(keys)))
    assert all(len({keys[i] for i in group}) == 1 for group in found)
    assert len(found) == len(set(keys))
