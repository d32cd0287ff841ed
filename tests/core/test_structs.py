"""Decoded JSON to structs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.fields import Metadata
from nanosmith.core.structs import SHOWN_CHARS, to_struct


class Part(msgspec.Struct):
    text: str
    size: Annotated[int, Meta(ge=1)] = 1


class Asked(msgspec.Struct):
    parts: list[Part] = []
    metadata: Metadata = None


def error_of(content: dict[str, Any], **allowed: str) -> InputError:
    with pytest.raises(InputError) as caught:
        to_struct(content, Asked, allowed)
    return caught.value


def test_what_fits_becomes_the_struct() -> None:
    """Fields of the struct are read, others are passed over."""
    assert to_struct({"parts": [{"text": "a", "new": 1}], "metadata": {"k": "v"}}, Asked) == Asked(
        [Part("a")], {"k": "v"}
    )


@pytest.mark.parametrize(
    ("content", "param", "words"),
    [
        ({"parts": [{"text": "a"}, {"text": 7}]}, "parts[1].text", "expected `str`, got `int` (got 7)"),
        ({"parts": [{"text": "a", "size": 0}]}, "parts[0].size", "expected `int` >= 1 (got 0)"),
        ({"parts": [{"size": 1}]}, "parts[0].text", "missing required field `text`"),
        ({"metadata": {"k": 7}}, "metadata", "expected `str`, got `int`"),
        ({"metadata": {"k": "v\0"}}, "metadata", "expected `str` without NUL"),
        ({"metadata": {"k\0": "v"}}, "metadata", "expected `str` without NUL"),
        ({"metadata": {"k": "v" * 513}}, "metadata", "of length <= 512"),
    ],
)
def test_an_error_names_the_field(content: dict[str, Any], param: str, words: str) -> None:
    """The param is a path that a client can follow, so it ends before the key of a mapping."""
    error = error_of(content)
    assert error.param == param
    assert words in str(error)
    assert error.code == ("missing_required_parameter" if "missing" in words else "invalid_value")


def test_the_callers_words_for_what_is_allowed() -> None:
    """They stand in the place of the type's, also for the inside of a mapping."""
    assert str(error_of({"parts": [{"text": "a", "size": 0}]}, size="1 or more")) == (
        "parts[0].size: not a valid value (got 0; allowed 1 or more)"
    )
    error = error_of({"metadata": {"k": 7}}, metadata="pairs of strings")
    assert (error.param, "allowed pairs of strings" in str(error)) == ("metadata", True)


def test_a_long_value_is_cut() -> None:
    """What was given is shown with its beginning alone."""
    shown = str(error_of({"parts": "x" * 1000}))
    assert "x" * (SHOWN_CHARS - 1) + "…" in shown
