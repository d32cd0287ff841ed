"""/v1/fine_tuning/alpha/graders: run a grader on one sample, or check that it could be run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import anyio.from_thread
import anyio.to_thread
import msgspec
from anyio import CapacityLimiter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.limits import MAX_INPUT_CHARS
from nanosmith.core.prediction import Prediction
from nanosmith.core.structs import to_struct, without_none
from nanosmith.core.task import Task
from nanosmith.score.graders import run as graders
from nanosmith.score.graders.grade import FLAGS, Answer, Ask, Grade, SamplingParams, Tools
from nanosmith.score.graders.multi import SubGrader
from nanosmith.server.chat.generate import is_writer, question_to, write
from nanosmith.server.chat.request import ChatMessage, ChatRequest
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.models.cache import OpenModel
from nanosmith.server.routes.ask import LabelReply, TextReply
from nanosmith.server.routes.inner import reply_of
from nanosmith.server.services import Services, services
from nanosmith.server.watch.tally import tally_of

MAX_GRADINGS = 4
"""Gradings at the same time. Each holds a thread of its own kind, so that the models which it asks find one free."""
DETAILS = (
    "python_grader_server_error_type",
    "python_grader_runtime_error_details",
    "model_grader_server_error_details",
)


class ValidateRequest(msgspec.Struct):
    grader: graders.Grader


class RunRequest(msgspec.Struct):
    grader: graders.Grader
    model_sample: Annotated[str, Meta(max_length=MAX_INPUT_CHARS)]
    item: dict[str, Any] | None = None


async def run(request: Request) -> Response:
    asked = to_struct(readable(await read_json(request)), RunRequest)
    tools = Tools(ask=asker(services(request), tally_of(request.scope).key or ""))
    start = time.perf_counter()
    sample = graders.sample_of(asked.model_sample)
    grade = await anyio.to_thread.run_sync(
        graders.run, asked.grader, asked.item or {}, sample, tools, limiter=_limiter(request)
    )
    return json_response(graded(asked.grader, grade, time.perf_counter() - start))


async def validate(request: Request) -> Response:
    """Answers with the grader as it was sent."""
    given = await read_json(request)
    asked = to_struct(readable(given), ValidateRequest)
    graders.validate(asked.grader, Tools(ask=asker(services(request), "")))
    return json_response({"grader": given["grader"]})


def readable(given: dict[str, Any]) -> dict[str, Any]:
    """The request with the sub-graders of a multi grader by name. OpenAI documents them so; its client's types know one
    sub-grader without a key, which is then named by its `name`. Raises InputError for a sub-grader that does not fit:
    msgspec would not say which one."""
    grader = given.get("grader")
    subs = grader.get("graders") if isinstance(grader, dict) and grader.get("type") == "multi" else None
    if not isinstance(subs, dict):
        return given
    if isinstance(subs.get("type"), str) and isinstance(subs.get("name"), str):
        subs = {subs["name"]: subs}
    for name, sub in subs.items():
        _check_sub(sub, f"grader.graders.{name[:64]}")
    return given | {"grader": {**grader, "graders": subs}}  # type: ignore[dict-item]


def asker(here: Services, key: str, call: Callable[..., Answer] = anyio.from_thread.run) -> Ask:
    """Asks a local model or a route. What a classifier answers is its label, without JSON around it. `key` is whose
    budgets a route's calls count to. `call` runs a coroutine function with its arguments: without it, from a thread of
    the event loop."""

    async def answer(name: str, messages: Sequence[Message], sampling: SamplingParams) -> Answer:
        route = here.shared.routing.find(name)
        if route is not None:
            return _of_route(*await reply_of(route, _question(name, messages, sampling), here, key))
        model = await here.models.get(name)
        if is_writer(model):
            return await _written(model, messages)
        return _labelled(await here.models.predict(model, tuple(messages)), model.manifest.task, model.name)

    def ask(name: str, messages: Sequence[Message], sampling: SamplingParams) -> Answer:
        return call(answer, name, messages, sampling)

    return ask


def _question(name: str, messages: Sequence[Message], sampling: SamplingParams) -> ChatRequest:
    """With the parameters that were given. Raises InputError."""
    given: dict[str, Any] = without_none(msgspec.to_builtins(sampling))
    if (most := given.pop("max_completions_tokens", None)) is not None:
        given["max_completion_tokens"] = most
    return to_struct({"model": name, "messages": msgspec.to_builtins(messages), **given}, ChatRequest)


def _of_route(name: str, reply: LabelReply | TextReply) -> Answer:
    if isinstance(reply, LabelReply):
        return _labelled(reply.answer.prediction, reply.answer.model.manifest.task, name)
    message, used = reply.completion["choices"][0]["message"], reply.completion.get("usage") or {}
    return Answer(message.get("content") or "", name, used.get("prompt_tokens", 0), used.get("completion_tokens", 0))


def _labelled(prediction: Prediction, task: Task, name: str) -> Answer:
    value = prediction.answer
    return Answer(value if isinstance(value, str) else task.render(value), name, prediction.tokens, 1)


async def _written(model: OpenModel, messages: Sequence[Message]) -> Answer:
    """Of a text model, the likeliest text."""
    asked = ChatRequest(model.name, msgspec.convert(msgspec.to_builtins(messages), list[ChatMessage]), temperature=0.0)
    written = await write(question_to(model, asked))
    return Answer(written.choices[0].text, model.name, written.prompt_tokens, written.written_tokens)


def graded(grader: graders.Grader, grade: Grade, seconds: float) -> dict[str, Any]:
    """OpenAI's answer, and under `nanosmith` in words what went wrong."""
    tokens = [answer.prompt_tokens + answer.completion_tokens for answer in grade.answers]
    errors: dict[str, Any] = dict.fromkeys(DETAILS) | {flag: flag in grade.flags for flag in FLAGS}
    return {
        "reward": grade.reward,
        "sub_rewards": grade.sub_rewards,
        "model_grader_token_usage_per_model": usage_per_model(grade.answers),
        "metadata": {
            "name": grader.name,
            "type": grader.__struct_config__.tag,
            "errors": errors,
            "execution_time": seconds,
            "scores": {},
            "token_usage": sum(tokens) if tokens else None,
            "sampled_model_name": grade.answers[0].model if grade.answers else None,
        },
        "nanosmith": {"errors": grade.messages},
    }


def usage_per_model(answers: Iterable[Answer]) -> dict[str, dict[str, int]]:
    used: dict[str, dict[str, int]] = {}
    for answer in answers:
        of_model = used.setdefault(
            answer.model, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cached_tokens": 0}
        )
        of_model["prompt_tokens"] += answer.prompt_tokens
        of_model["completion_tokens"] += answer.completion_tokens
        of_model["total_tokens"] += answer.prompt_tokens + answer.completion_tokens
    return used


class _Sub(msgspec.Struct):
    grader: SubGrader


def _check_sub(sub: Any, where: str) -> None:
    try:
        to_struct({"grader": sub}, _Sub)
    except InputError as error:
        inner = (error.param or "").removeprefix("grader")
        what = str(error).removeprefix(f"{error.param}: ")
        raise InputError(what, where=where + inner, param=where + inner, code=error.code) from error


def _limiter(request: Request) -> CapacityLimiter:
    state = request.app.state
    if not hasattr(state, "gradings"):
        state.gradings = CapacityLimiter(MAX_GRADINGS)
    found: CapacityLimiter = state.gradings
    return found


routes = [
    Route("/fine_tuning/alpha/graders/run", run, methods=["POST"]),
    Route("/fine_tuning/alpha/graders/validate", validate, methods=["POST"]),
]
