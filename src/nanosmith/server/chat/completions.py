"""/v1/chat/completions: the model's label or record as an assistant's message, at once or as a stream."""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.json_schema import Checker
from nanosmith.core.manifest import Manifest
from nanosmith.core.prediction import Prediction
from nanosmith.core.structs import to_struct
from nanosmith.core.task import Task, Value
from nanosmith.predict.shown import field_objects
from nanosmith.server.chat import generate, record_format
from nanosmith.server.chat.request import (
    IGNORED_HEADER,
    ChatRequest,
    ResponseFormat,
    check,
    check_common,
    ignored,
    refused,
    turns,
)
from nanosmith.server.chat.stored import store, to_store
from nanosmith.server.chat.written import UNLIKELY, usage_object
from nanosmith.server.http.connection import while_connected
from nanosmith.server.http.errors import error_body
from nanosmith.server.http.idempotency import once
from nanosmith.server.http.wire import json_response
from nanosmith.server.models.cache import ModelCache, OpenModel
from nanosmith.server.models.explanations import explanation
from nanosmith.server.models.turns import as_input, remarks
from nanosmith.server.services import services
from nanosmith.server.watch.middleware import log
from nanosmith.server.watch.tally import count_tokens
from nanosmith.store.ledger import new_id

JSON_FORMS = ("json_field", "json_list")
NOTHING: Mapping[str, str] = MappingProxyType({})
RANDOM = 24  # characters of an id behind its prefix


class Answering(Protocol):
    """Whose answer it is, as far as the answer shows it: a local model, or a remote one that was asked for the labels
    of one."""

    @property
    def name(self) -> str: ...

    @property
    def manifest(self) -> Manifest: ...

    @property
    def fingerprint(self) -> str: ...


class Answer(msgspec.Struct, frozen=True):
    """What all choices and chunks of one response are made from."""

    request: ChatRequest
    model: Answering
    prediction: Prediction
    id: str
    created: int
    plan: record_format.RecordPlan | None = None  # of a record

    @property
    def written_tokens(self) -> int:
        """An answer is one decision, so it counts as one token."""
        return self.request.n or 1

    @property
    def content(self) -> str:
        if self.plan is not None:
            content = self.plan.text(self.prediction)
        else:
            content = self.model.manifest.task.render(self.prediction.answer)
        return content if self.request.stop is None or self.calls else _until(content, self.request.stop)

    @property
    def calls(self) -> str | None:
        """The name of the function that is called; `content` are then its arguments."""
        return None if self.plan is None else self.plan.function

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.calls else "stop"

    def tool_call(self, index: int) -> dict[str, Any]:
        """That of a choice; it has the same id whenever it is shown."""
        function = {"name": self.calls, "arguments": self.content}
        return {"id": f"call_{self.id[-RANDOM:]}{index or ''}", "type": "function", "function": function}


async def create(request: Request, given: dict[str, Any]) -> Response:
    """The answer of the model that the body `given` names."""
    asked = to_struct(given, ChatRequest)
    opening = services(request).models.get(asked.model)
    model = await (while_connected(request, opening) if asked.stream else opening)
    if generate.is_writer(model):
        return await generate.create(request, asked, given, model)
    check_request(asked, model.manifest.task)
    answering = answer_to(asked, services(request).models)
    answer = await (while_connected(request, answering) if asked.stream else answering)
    return await respond(request, given, answer)


async def respond(
    request: Request, given: dict[str, Any], answer: Answer, told: Mapping[str, str] = NOTHING
) -> Response:
    """The answer to the body `given`, at once or as a stream; `told` are headers beside the usual ones."""
    asked = answer.request
    more = await extension(request, asked, answer)
    if asked.store:  # before the first byte: what is sent is stored, and stored whole
        answer = await _stored(request, given, answer)
    count_tokens(request, answer.prediction.tokens + answer.written_tokens, model=answer.model.name)
    headers = {**told, **remarks(answer.prediction)}
    if idle := ignored(asked, given):
        headers[IGNORED_HEADER] = ", ".join(idle)
    if asked.stream:
        headers["cache-control"] = "no-cache"
        return StreamingResponse(events(chunks(answer)), headers=headers, media_type="text/event-stream")
    return json_response(completion(answer) | more, headers=headers)


async def answer_to(asked: ChatRequest, models: ModelCache) -> Answer:
    model = await models.get(asked.model)
    read = as_input(said_to(model, asked), "messages")
    plan = planned(asked, model)
    prediction = await models.predict(model, read)
    return Answer(asked, model, prediction, new_id("chatcmpl-"), int(time.time()), plan)


def said_to(model: Answering, asked: ChatRequest) -> tuple[Message, ...]:
    """The turns as a model of this kind was trained on them."""
    return record_format.turns_of(asked) if model.manifest.task.kind == "record" else turns(asked)


def check_request(asked: ChatRequest, task: Task) -> None:
    """Refuse what a model of this kind cannot do. Raises InputError naming the parameter."""
    if task.kind == "record":
        check_common(asked)
    else:
        check(asked)
    if asked.nanosmith is not None and asked.nanosmith.fields and (task.kind != "record" or asked.stream):
        why = "it does not come as a stream" if asked.stream else "the model answers with labels"
        raise refused("nanosmith.fields", why, "false")
    if asked.nanosmith is not None and asked.nanosmith.explain and task.kind == "record":
        raise refused("nanosmith.explain", "words are weighed for labels alone", "fields")


def planned(asked: ChatRequest, model: OpenModel) -> record_format.RecordPlan | None:
    """What becomes of a record; None for labels. Raises InputError for a format that the answers do not have."""
    task = model.manifest.task
    if task.kind == "record":
        return record_format.plan(asked, task)
    check_format(asked.response_format, answerable(model))
    return None


async def extension(request: Request, asked: ChatRequest, answer: Answer) -> dict[str, Any]:
    """Our field `nanosmith`, in an object that has nothing else; an empty one when not asked for."""
    said, more = said_to(answer.model, asked), dict[str, Any]()
    if isinstance(answer.model, OpenModel):
        more = await explanation(request, asked.nanosmith, answer.model, said, answer.prediction.value)
    if asked.nanosmith is None or not asked.nanosmith.fields:
        return more
    fields = field_objects(answer.prediction, answer.model.manifest.task.text_of(said))
    return {"nanosmith": more.get("nanosmith", {}) | fields}


async def _stored(request: Request, given: dict[str, Any], answer: Answer) -> Answer:
    """The answer as it is stored, durably: this one, or that of an earlier sending of the same request."""
    document = to_store(completion(answer), answer.request, given, request)
    stored = await run_in_threadpool(store, services(request), document, once(request, given))
    return msgspec.structs.replace(answer, id=stored.id, created=stored.created_at)


def message(answer: Answer) -> Callable[[int], dict[str, Any]]:
    """The message of each choice."""
    said: dict[str, Any] = {"role": "assistant", "content": answer.content, "refusal": None, "annotations": []}
    if not answer.calls:
        return lambda index: said
    return lambda index: said | {"content": None, "tool_calls": [answer.tool_call(index)]}


def completion(answer: Answer) -> dict[str, Any]:
    said, shown = message(answer), logprobs(answer)
    choices = [
        {"index": i, "message": said(i), "logprobs": shown, "finish_reason": answer.finish_reason}
        for i in range(answer.request.n or 1)
    ]
    whole = _head(answer, "chat.completion") | {"choices": choices, "usage": usage(answer)}
    return whole | {"metadata": answer.request.metadata or {}} if answer.request.store else whole


def chunks(answer: Answer) -> Iterator[dict[str, Any]]:
    """Per choice: the role, the content, the end; then the usage of all, when asked for."""
    options = answer.request.stream_options
    with_usage = bool(options and options.include_usage)
    head = _head(answer, "chat.completion.chunk")
    tail = {"usage": None} if with_usage else {}
    for index in range(answer.request.n or 1):
        for delta, shown, reason in _deltas(answer, index):
            choice = {"index": index, "delta": delta, "logprobs": shown, "finish_reason": reason}
            yield head | {"choices": [choice]} | tail
    if with_usage:
        yield head | {"choices": [], "usage": usage(answer)}


def _deltas(answer: Answer, index: int) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None, str | None]]:
    """Of one choice, with log-probabilities and reasons: the role, what is said, the end. A call has its name first,
    then its arguments."""
    if answer.calls:
        call = answer.tool_call(index)
        named = call | {"index": 0, "function": call["function"] | {"arguments": ""}}
        yield {"role": "assistant", "content": None, "refusal": None, "tool_calls": [named]}, None, None
        arguments = {"index": 0, "function": {"arguments": call["function"]["arguments"]}}
        yield {"tool_calls": [arguments]}, None, None
    else:
        yield {"role": "assistant", "content": "", "refusal": None}, None, None
        yield {"content": answer.content}, logprobs(answer), None
    yield {}, None, answer.finish_reason


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

    For `labels` the token's probability is that of the whole set, and each label beside it has its own. A record comes
    in pieces, one for each value; a call has none, as OpenAI's has none.
    """
    if not answer.request.logprobs or answer.calls:
        return None
    if answer.plan is not None:
        return {"content": _record_tokens(answer, answer.plan), "refusal": None}
    task, prediction = answer.model.manifest.task, answer.prediction
    best = best_of(prediction, answer.request.top_logprobs or 0)
    beside = [_token(task.render(label) if task.kind == "choice" else label, p) for label, p in best]
    token = _token(answer.content, probability_of(prediction, prediction.answer))
    return {"content": [token | {"top_logprobs": beside}], "refusal": None}


def _record_tokens(answer: Answer, plan: record_format.RecordPlan) -> list[dict[str, Any]]:
    """Those of the content, which may end before a stop sequence."""
    tokens, left = [], len(answer.content)
    for text, probability in plan.tokens(answer.prediction):
        if left > 0:
            token = _token(text[:left], probability)
            tokens.append(token | {"top_logprobs": [token] if answer.request.top_logprobs else []})
        left -= len(text)
    return tokens


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
    return usage_object(answer.prediction.tokens, answer.written_tokens)


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
    try:
        misfit = _misfit(task, schema)
    except InputError as error:
        error.param = error.param or record_format.SCHEMA
        raise
    if misfit is not None:
        raise InputError(
            "response_format is refused: the model can answer what the schema forbids",
            got=misfit[:200], param=record_format.SCHEMA, code="unsupported_parameter",
        )  # fmt: skip


def _misfit(task: Task, schema: dict[str, Any]) -> str | None:
    """An answer of the model that the schema forbids."""
    checker, contents = Checker(schema), map(task.render, _extremes(task))
    return next((content for content in contents if not checker.fits(json.loads(content), schema)), None)


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
