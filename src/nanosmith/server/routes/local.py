"""One try of one local model: a label, a record, or a text, whole or as it grows."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.generation import Sampling
from nanosmith.core.money import Usage
from nanosmith.core.route import Step
from nanosmith.predict.route import quantile
from nanosmith.server.chat import generate
from nanosmith.server.chat.completions import answer_to, check_request
from nanosmith.server.chat.written import Written
from nanosmith.server.models.cache import OpenModel
from nanosmith.server.responses.responses import check_uncut
from nanosmith.server.routes.ask import Ask, LabelReply, Reply, StreamReply, TextReply
from nanosmith.server.routes.bill import Spent
from nanosmith.server.routes.growing import first_of


async def ask_local(ask: Ask, step: Step, spent: Spent, *, whole: bool) -> Reply:
    """The step's answer; `whole`: not as a stream, as it is to be judged first. Raises NanosmithError."""
    model = await ask.home.models.get(step.model)
    kept = ask.chat.metadata if ask.chat.store else None  # routes take metadata without it, for whoever watches them
    asked = msgspec.structs.replace(ask.chat, model=step.model, metadata=kept)
    if not generate.is_writer(model):
        check_request(asked, model.manifest.task)
        if ask.labels_only and not is_labelled(model):
            raise no_labels(model.name)
        answer = await answer_to(asked, ask.home.models)
        if ask.uncut:
            check_uncut(answer.prediction)
        return LabelReply(answer, spent, answer.prediction.sureness)
    if ask.labels_only:
        raise no_labels(model.name)
    question = generate.question_to(model, asked)
    if ask.streams and not whole:
        rest = _growing(question, spent)
        return StreamReply(await first_of(rest), rest, spent)
    if step.accept is not None:
        question = _with_logprobs(question)
    written = await generate.write(question)
    return TextReply(generate.completion(question, written), spent, _confidence(written, step.quantile))


def is_labelled(model: OpenModel) -> bool:
    return model.manifest.task.kind in ("choice", "labels")


def no_labels(name: str) -> InputError:
    return InputError(
        "decisions are read off a model's labels, and this one has none", got=name, param="model",
        allowed="a model of the kind choice or labels", code="unsupported_model",
    )  # fmt: skip


async def _growing(question: generate.Question, spent: Spent) -> AsyncGenerator[dict[str, Any]]:
    """Chunks of a text; closing this frees the writer's place."""
    writing, written = generate.begin(question), Written(question.plan)
    try:
        await generate.begun(writing, question)
        async with aclosing(generate.chunks(question, writing, written, _as_it_is)) as chunks:
            async for chunk in chunks:
                yield chunk
    finally:
        spent.used = Usage(written.prompt_tokens, written.written_tokens)
        writing.leave()


async def _as_it_is(shown: dict[str, Any]) -> dict[str, Any]:
    """Routes keep answers themselves."""
    return shown


def _with_logprobs(question: generate.Question) -> generate.Question:
    """The same, and each token's probability is told, of which the answer's confidence is made."""
    samplings: tuple[Sampling, ...] = tuple(
        msgspec.structs.replace(one, top_logprobs=one.top_logprobs or 0) for one in question.plan.samplings
    )
    return msgspec.structs.replace(question, plan=msgspec.structs.replace(question.plan, samplings=samplings))


def _confidence(written: Written, share: float) -> float | None:
    """That of the least sure text of the request."""
    found = [quantile([token.logprob for token in choice.tokens], share) for choice in written.choices]
    return None if None in found else min(one for one in found if one is not None)
