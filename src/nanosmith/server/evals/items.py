"""One row of an eval run: its sample, given or asked for, and what every grader says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from nanosmith.core.errors import Damaged, InputError, NanosmithError
from nanosmith.core.example import Message
from nanosmith.score.graders import run as graders
from nanosmith.score.graders.grade import Answer as ModelAnswer
from nanosmith.score.graders.grade import Context, Grade, GradingError, Tools
from nanosmith.score.graders.messages import fill_items
from nanosmith.score.graders.template import look_up
from nanosmith.server.chat.request import ChatMessage, ChatRequest, turns
from nanosmith.server.evals.asking import Sampled
from nanosmith.server.evals.records import NO_ERROR
from nanosmith.server.evals.request import kept_criterion
from nanosmith.server.evals.rows import Row
from nanosmith.server.evals.run_request import Sampling, Template

Status: TypeAlias = Literal["pass", "fail", "error"]
DEFAULTS = {"temperature": 1.0, "top_p": 1.0, "seed": 42, "max_completion_tokens": 0}
"""Of a sample's parameters, as OpenAI documents them; no limit of tokens has no value there, so that it is 0 here."""


class Graded(msgspec.Struct):
    """An output item: `results` has one entry for each criterion, unless there was nothing to grade; `answers` are
    those of all models that were asked."""

    row: Row
    status: Status
    results: list[dict[str, Any]]
    sample: dict[str, Any]
    answers: list[ModelAnswer]

    @property
    def body(self) -> dict[str, Any]:
        """The output item without what its row in the ledger has columns for."""
        return {
            "datasource_item_id": self.row.number, "datasource_item": self.row.item, "results": self.results,
            "sample": self.sample, "source_id": self.row.source_id,
        }  # fmt: skip


class Sample(msgspec.Struct):
    """`values` is the namespace of templates; the rest what is shown of it."""

    values: dict[str, Any]
    shown: dict[str, Any]
    answers: list[ModelAnswer]


class Evaluator:
    """Grades rows. `answer` asks a model as a chat completion does."""

    def __init__(
        self, criteria: Sequence[dict[str, Any]], sampling: Sampling | None, tools: Tools,
        answer: Callable[[ChatRequest], Sampled],
    ) -> None:  # fmt: skip
        self._criteria = [(kept["id"], kept_criterion(kept)) for kept in criteria]
        self._sampling = sampling
        self._tools = tools
        self._answer = answer

    def graded(self, row: Row) -> Graded:
        """What goes wrong with this row, or with a model that is asked about it, is told in the item."""
        try:
            sample = self._sample(row)
        except (InputError, Damaged) as error:
            return Graded(row, "error", [], _shown(row, "error", self._params(), error=_error(error)), [])
        context = Context(row.item, sample.values, self._tools)
        grades = [(id, grader, self._grade(grader, context)) for id, grader in self._criteria]
        results = [_result(id, grader, grade) for id, grader, grade in grades]
        answers = [*sample.answers, *(answer for _, _, grade in grades for answer in grade.answers)]
        wrong = next((grade for _, _, grade in grades if grade.flags), None)
        if wrong is not None:
            sample.shown["error"] = {"code": min(wrong.flags), "message": "\n".join(wrong.messages)}
        passed = all(result["passed"] for result in results)
        status: Status = "error" if wrong else "pass" if passed else "fail"
        return Graded(row, status, results, sample.shown, answers)

    def _grade(self, grader: graders.Grader, context: Context) -> Grade:
        try:
            return graders.run(grader, context.item, context.sample, self._tools)
        except (InputError, Damaged) as error:  # a model that was deleted since
            return Grade(0.0, frozenset({"model_grader_server_error"}), (str(error),))

    def _sample(self, row: Row) -> Sample:
        if row.problem is not None:
            raise row.problem
        if self._sampling is None:
            return _given(row)
        asked = self._sampling.request(_turns(self._sampling, row))
        answer = self._answer(asked)
        told = answer.told
        shown = _shown(row, answer.finish_reason, self._params(), asked=turns(asked), text=told.text)
        shown |= {"model": told.model, "usage": _usage(told.prompt_tokens, told.completion_tokens)}
        return Sample(graders.sample_of(told.text, answer.calls), shown, [told])

    def _params(self) -> dict[str, Any]:
        given = self._sampling.params if self._sampling else {}
        return {name: default if given.get(name) is None else given[name] for name, default in DEFAULTS.items()}


def _given(row: Row) -> Sample:
    """The sample that came with the row, if any; `output_json` is added where its text is JSON."""
    values = row.sample or {}
    text = values.get("output_text")
    if isinstance(text, str):
        values = graders.sample_of(text) | values
    shown = _shown(row, "stop", DEFAULTS, text=text if isinstance(text, str) else None)
    return Sample(values, shown, [])


def _turns(sampling: Sampling, row: Row) -> tuple[Message, ...]:
    """The messages for the model. Raises GradingError, InputError."""
    context = Context(row.item, {})
    if isinstance(sampling.input_messages, Template):
        return fill_items(sampling.input_messages.template, context)
    path = sampling.input_messages.item_reference
    value = look_up(path, context)
    if isinstance(value, str):
        return (Message("user", value),)
    try:
        messages = msgspec.convert(value, list[ChatMessage])
    except msgspec.ValidationError as error:
        what = f"{path} is neither a text nor a list of messages: {error}"
        raise GradingError(what, flag="invalid_variable_error") from error
    return turns(ChatRequest(sampling.model, messages))


def _shown(
    row: Row, reason: str, params: dict[str, Any], *, asked: Sequence[Message] = (), text: str | None = None,
    error: dict[str, str] = NO_ERROR,
) -> dict[str, Any]:  # fmt: skip
    return {
        "input": [{"role": turn.role, "content": turn.content} for turn in asked],
        "output": [] if text is None else [{"role": "assistant", "content": text}],
        "finish_reason": reason, "model": row.model, "usage": _usage(0, 0), "error": error, **params,
    }  # fmt: skip


def _result(id: str, grader: graders.Grader, grade: Grade) -> dict[str, Any]:
    result: dict[str, Any] = {
        "name": id, "type": grader.__struct_config__.tag, "score": grade.reward,
        "passed": graders.passes(grader, grade), "sample": None,
    }  # fmt: skip
    if grade.answers:
        result["sample"] = {"model": grade.answers[0].model, "output_text": [one.text for one in grade.answers]}
    return result | {"nanosmith": {"errors": grade.messages}} if grade.flags else result


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens, "cached_tokens": 0,
    }  # fmt: skip


def _error(error: NanosmithError) -> dict[str, str]:
    code = error.flag if isinstance(error, GradingError) else error.code
    return {"code": code or "failed", "message": str(error)}
