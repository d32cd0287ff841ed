"""Asking a model for a grade."""

from __future__ import annotations

from collections.abc import Sequence

from nanosmith.score.graders.grade import Answer, Context, SamplingParams, Tools, unsupported
from nanosmith.score.graders.messages import EvalItem, fill_items


def refuse_asking(where: str, tools: Tools) -> None:
    if tools.ask is None:
        raise unsupported("this grader asks a model, and there is none here", f"{where}.model", "Take another grader.")


def ask(model: str, items: Sequence[EvalItem], context: Context, sampling: SamplingParams) -> Answer:
    """Raises GradingError for templates that cannot be filled in, InputError where no model can be asked."""
    refuse_asking("grader", context.tools)
    assert context.tools.ask is not None
    return context.tools.ask(model, fill_items(items, context), sampling)
