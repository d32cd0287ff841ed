"""/v1/chat/completions: the model's label as an assistant's message, at once or as a stream."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nanosmith.core.errors import InputError
from nanosmith.core.prediction import Prediction
from nanosmith.core.structs import to_struct
from nanosmith.core.task import Task, Value
from nanosmith.server.chat.request import ChatRequest, ResponseFormat, check, ignored, turns
from nanosmith.server.chat.stored import store, to_store
from nanosmith.server.http.errors import error_body
from nanosmith.server.http.idempotency import once
from nanosmith.server.http.json_schema import Checker
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.models.cache import ModelCache, OpenModel
from nanosmith.server.models.explanations import explanation
from nanosmith.server.models.turns import as_input, remarks
from nanosmith.server.services import services
from nanosmith.server.watch.middleware import log
from nanosmith.server.watch.tally import count_tokens
from nanosmith.store.ledger import new_id

Result = TypeVar("Result")
UNLIKELY = -9999.0  # what OpenAI writes for a probability of zero
JSON_FORMS = ("json_field", "json_list")
IGNORED_HEADER = "x-nanosmith-ignored"


class Answer(msgspec.Struct, frozen=True):
    """What all choices and chunks of one response are made from."""

    request: ChatRequest
    model: OpenModel
    prediction: Prediction
    id: str
    created: int

    @property
    def written_tokens(self) -> int:
        """An answer is one decision, so it counts as one token."""
        return self.request.n or 1

    @property
    def content(self) -> str:
        content = self.model.manifest.task.render(self.prediction.answer)
        return content if self.request.stop is None else _until(content, self.request.stop)


async def create(request: Request) -> Response:
    given = await read_json(request)
    asked = to_struct(given, ChatRequest)
    check(asked)
    answering = answer_to(asked, services(request).models)
    answer = await (while_connected(request, answering) if asked.stream else answering)
    more = await explanation(request, asked.nanosmith, answer.model, turns(asked), answer.prediction.value)
    if asked.store:  # before the first byte: what is sent is stored, and stored whole
        answer = await _stored(request, given, answer)
    count_tokens(request, answer.prediction.tokens + answer.written_tokens, model=answer.model.name)
    headers = remarks(answer.prediction)
    if idle := ignored(asked, given):
        headers[IGNORED_HEADER] = ", ".join(idle)
    if asked.stream:
        headers["cache-control"] = "no-cache"
        return StreamingResponse(events(chunks(answer)), headers=headers, media_type="text/event-stream")
    return json_response(completion(answer) | more, headers=headers)


async def answer_to(asked: ChatRequest, models: ModelCache) -> Answer:
    read = as_input(turns(asked), "messages")
    model = await models.get(asked.model)
    check_format(asked.response_format, answerable(model))
    prediction = await models.predict(model, read)
    return Answer(asked, model, prediction, new_id("chatcmpl-"), int(time.time()))


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` returns; when the client goes away first, `work` is cancelled, which frees its place in the queue.

    For a request whose body was read. Raises ClientDisconnect.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _stored(request: Request, given: dict[str, Any], answer: Answer) -> Answer:
    """The answer as it is stored, durably: this one, or that of an earlier sending of the same request."""
    document = to_store(completion(answer), answer.request, given, request)
    stored = await run_in_threadpool(store, services(request), document, once(request, given))
    return msgspec.structs.replace(answer, id=stored.id, created=stored.created_at)


def completion(answer: Answer) -> dict[str, Any]:
    choice: dict[str, Any] = {
        "message": {"role": "assistant", "content": answer.content, "refusal": None, "annotations": []},
        "logprobs": logprobs(answer),
        "finish_reason": "stop",
    }
    choices = [{"index": index} | choice for index in range(answer.request.n or 1)]
    whole = _head(answer, "chat.completion") | {"choices": choices, "usage": usage(answer)}
    return whole | {"metadata": answer.request.metadata or {}} if answer.request.store else whole


def chunks(answer: Answer) -> Iterator[dict[str, Any]]:
    """Per choice: the role, the content, the end; then the usage of all, when asked for."""
    options = answer.request.stream_options
    with_usage = bool(options and options.include_usage)
    head = _head(answer, "chat.completion.chunk")
    tail = {"usage": None} if with_usage else {}
    for index in range(answer.request.n or 1):
        for delta, shown, reason in (
            ({"role": "assistant", "content": "", "refusal": None}, None, None),
            ({"content": answer.content}, logprobs(answer), None),
            ({}, None, "stop"),
        ):
            choice = {"index": index, "delta": delta, "logprobs": shown, "finish_reason": reason}
            yield head | {"choices": [choice]} | tail
    if with_usage:
        yield head | {"choices": [], "usage": usage(answer)}


async def events(parts: Iterable[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Server-sent events. A failure in the middle is sent as an error, and `[DONE]` is then left out: a client must
    not take half an answer for a whole one."""
    try:
        for part in parts:
            yield b"data: " + msgspec.json.encode(part) + b"\n\n"
    except Exception:
        log.exception("a stream failed")
        body = error_body("The stream failed on the server.", status=500, code="internal_error")
        yield b"data: " + msgspec.json.encode(body) + b"\n\n"
    else:
        yield b"data: [DONE]\n\n"


def logprobs(answer: Answer) -> dict[str, Any] | None:
    """The whole answer as one token, with the best labels beside it; None when not asked for.

    For `labels` the token's probability is that of the whole set, and each label beside it has its own.
    """
    if not answer.request.logprobs:
        return None
    task, prediction = answer.model.manifest.task, answer.prediction
    best = best_of(prediction, answer.request.top_logprobs or 0)
    beside = [_token(task.render(label) if task.kind == "choice" else label, p) for label, p in best]
    token = _token(answer.content, probability_of(prediction, prediction.answer))
    return {"content": [token | {"top_logprobs": beside}], "refusal": None}


def best_of(prediction: Prediction, n: int) -> list[tuple[str, float]]:
    """The `n` most probable labels; the one for "out of scope" comes first where it is the answer."""
    if isinstance(prediction.answer, str) and prediction.answer not in prediction.labels:
        return [(prediction.answer, probability_of(prediction, prediction.answer)), *prediction.top(n)][:n]
    return prediction.top(n)


def probability_of(prediction: Prediction, value: Value) -> float:
    """Of a label, where the score stands for that of "out of scope"; or of a set of labels, each of which is in or out
    independently of the others."""
    by_label = zip(prediction.labels, prediction.probabilities, strict=True)
    if isinstance(value, str):
        return dict(by_label).get(value, prediction.out_of_scope or 0.0)
    return math.prod(p if label in value else 1 - p for label, p in by_label)


def usage(answer: Answer) -> dict[str, Any]:
    read, written = answer.prediction.tokens, answer.written_tokens
    return {
        "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


def check_format(wanted: ResponseFormat | None, task: Task) -> None:
    """Refuse a format that the model's answers do not have. Raises InputError."""
    if wanted is None or wanted.type == "text":
        return
    if task.form not in JSON_FORMS or (wanted.type == "json_object" and task.form != "json_field"):
        raise InputError(
            f"response_format is refused: the model was trained on answers of the form {task.form}",
            got=wanted.type, allowed="text", param="response_format",
            remedy="Fine-tune on answers that are JSON objects to get them.", code="unsupported_parameter",
        )  # fmt: skip
    if wanted.type == "json_object":
        return
    if wanted.json_schema is None:
        raise InputError(
            "json_schema is missing", param="response_format.json_schema", code="missing_required_parameter"
        )
    schema = wanted.json_schema.schema or {}
    checker = Checker(schema)
    for value in _extremes(task):
        content = task.render(value)
        if not checker.fits(json.loads(content), schema):
            raise InputError(
                "response_format is refused: the model can answer what the schema forbids",
                got=content[:200], param="response_format.json_schema.schema", code="unsupported_parameter",
            )  # fmt: skip


def answerable(model: OpenModel) -> Task:
    """The model's task with all labels that it may answer."""
    task, scope = model.manifest.task, model.manifest.scope
    if scope is None or scope.label is None:
        return task
    return msgspec.structs.replace(task, labels=(*task.labels, scope.label))


def _extremes(task: Task) -> Iterable[Value]:
    """Answers that fit a schema only if all do: every label; for `labels` the empty list and the list of all."""
    return task.labels if task.kind == "choice" else ((), task.labels)


def _head(answer: Answer, object: str) -> dict[str, Any]:
    return {
        "id": answer.id, "object": object, "created": answer.created, "model": answer.model.name,
        "service_tier": "default", "system_fingerprint": answer.model.fingerprint,
    }  # fmt: skip


def _until(text: str, stops: str | list[str]) -> str:
    """The text before the first stop sequence."""
    found = [text.find(stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop and stop in text]
    return text[: min(found, default=len(text))]


def _token(text: str, probability: float) -> dict[str, Any]:
    logprob = math.log(probability) if probability > 0 else UNLIKELY
    return {"token": text, "logprob": min(logprob, 0.0), "bytes": list(text.encode())}


routes = [Route("/chat/completions", create, methods=["POST"])]
