"""A model's answer to one row of an eval, whatever kind of model it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from nanosmith.core.errors import InputError, OverBudget
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.score.graders.grade import Answer
from nanosmith.server.chat import completions
from nanosmith.server.chat.completions import answer_to, usage
from nanosmith.server.chat.generate import is_writer, question_to, said, write
from nanosmith.server.chat.request import ChatRequest
from nanosmith.server.http.errors import ApiError
from nanosmith.server.routes.ask import LabelReply
from nanosmith.server.routes.inner import reply_of
from nanosmith.server.services import Services


class Sampled(msgspec.Struct, frozen=True):
    told: Answer
    finish_reason: str = "stop"
    calls: tuple[dict[str, Any], ...] = ()


@contextmanager
def of_one_row() -> Iterator[None]:
    """Why a route does not answer stops one row, and no others. Raises InputError."""
    try:
        yield
    except (ApiError, OverBudget, EndpointError) as error:
        raise InputError(str(error), code=error.code) from error


async def sampled(asked: ChatRequest, here: Services, key: str) -> Sampled:
    """As in a chat completion; a call is its JSON. `key` is whose budgets a route's calls count to. Raises InputError,
    ModelNotFound, Damaged, TooBusy."""
    route = here.shared.routing.find(asked.model)
    if route is not None:
        with of_one_row():
            name, reply = await reply_of(route, asked, here, key)
        return _of_answer(reply.answer, name) if isinstance(reply, LabelReply) else _of_text(reply.completion, name)
    model = await here.models.get(asked.model)
    if not is_writer(model):
        return _of_answer(await answer_to(asked, here.models), model.name)
    written = await write(question_to(model, asked))
    told = Answer(said(written.choices[0]), model.name, written.prompt_tokens, written.written_tokens)
    return Sampled(told, written.choices[0].reason or "stop")


def _of_answer(answer: completions.Answer, name: str) -> Sampled:
    used = usage(answer)
    told = Answer(answer.content, name, used["prompt_tokens"], used["completion_tokens"])
    return Sampled(told, answer.finish_reason, (answer.tool_call(0),) if answer.calls else ())


def _of_text(completion: dict[str, Any], name: str) -> Sampled:
    choice, used = completion["choices"][0], completion.get("usage") or {}
    told = Answer(
        choice["message"].get("content") or "", name, used.get("prompt_tokens", 0), used.get("completion_tokens", 0)
    )
    return Sampled(told, choice.get("finish_reason") or "stop", tuple(choice["message"].get("tool_calls") or ()))
