"""All kinds of graders, and how one is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from nanosmith.score.graders.grade import Context, Grade, Tools, attempt
from nanosmith.score.graders.multi import MultiGrader, SubGrader

Grader: TypeAlias = SubGrader | MultiGrader


def run(grader: Grader, item: Mapping[str, Any], sample: Mapping[str, Any], tools: Tools) -> Grade:
    """The grade of a sample: what `sample_of` makes of a text. What is wrong with the item or the sample is told in the
    grade's flags; where the grader itself cannot grade anything, InputError or MissingExtra is raised."""
    grader.refuse("grader", tools)
    return attempt(grader, Context(item, sample, tools))


def validate(grader: Grader, tools: Tools) -> None:
    """Raises InputError, whose param names the field, or MissingExtra."""
    grader.refuse("grader", tools)
    grader.check("grader")


def sample_of(text: str, calls: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The namespace `sample` of an answer; `output_json` is there where the text is JSON, `output_tools` where there
    are calls of functions."""
    sample: dict[str, Any] = {"output_text": text} | ({"output_tools": list(calls)} if calls else {})
    try:
        return sample | {"output_json": msgspec.json.decode(text)}
    except (msgspec.DecodeError, RecursionError):
        return sample


def sample_of_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """That of a chat completion's message; the text of a call is its arguments."""
    calls = message.get("tool_calls") or []
    text = calls[0]["function"]["arguments"] if calls and message.get("content") is None else message.get("content")
    return sample_of(text or "", calls)


def passes(grader: Grader, grade: Grade) -> bool:
    """Whether a grade counts as a pass: nothing went wrong, and it reaches `pass_threshold`; without one, it is the
    best that the grader gives."""
    best = (getattr(grader, "range", None) or (0.0, 1.0))[1]
    threshold = getattr(grader, "pass_threshold", None)
    return not grade.flags and grade.reward >= (best if threshold is None else threshold)
