"""Samples and passes."""

from __future__ import annotations

import pytest
from tests.score.graders.helpers import grade, grader

from nanosmith.score.graders.grade import Grade
from nanosmith.score.graders.run import passes, sample_of, sample_of_message


@pytest.mark.parametrize(("text", "content"), [("[1]", [1]), ('"a"', "a"), ("null", None), ('{"a": {}}', {"a": {}})])
def test_a_sample_that_is_json(text: str, content: object) -> None:
    """The JSON of a sample is there beside its text."""
    assert sample_of(text) == {"output_text": text, "output_json": content}


@pytest.mark.parametrize("text", ["", "plain", "{", "NaN", "[" * 100_000, '{"a": 1} and more'])
def test_a_sample_that_is_not_json(text: str) -> None:
    """Any other text has no JSON, however deep it is nested."""
    assert sample_of(text) == {"output_text": text}


def test_a_sample_of_a_message() -> None:
    """The text of a call is its arguments, and the calls are there too."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    found = sample_of_message({"content": None, "tool_calls": [call]})
    assert found == {"output_text": '{"a":1}', "output_json": {"a": 1}, "output_tools": [call]}
    assert sample_of_message({"content": None}) == {"output_text": ""}
    assert sample_of_message({"content": "x"}) == {"output_text": "x"}


def test_a_failed_grade_never_passes() -> None:
    """Where something went wrong there is no pass, whatever the reward."""
    made = grader("string_check", input="{{item.x}}", reference="", operation="ne")
    failed = grade(made)
    assert (failed.reward, failed.flags) == (0, {"invalid_variable_error"})
    assert not passes(made, Grade(1.0, frozenset({"other_error"})))
    assert passes(made, Grade(1.0))
