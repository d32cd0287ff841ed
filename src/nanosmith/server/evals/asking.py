"""A model's answer to one row of an eval, whatever kind of model it is."""

from __future__ import annotations

from typing import Any

import msgspec

from nanosmith.score.graders.grade import Answer
from nanosmith.server.chat.completions import answer_to, usage
from nanosmith.server.chat.generate import is_writer, question_to, said, write
from nanosmith.server.chat.request import ChatRequest
from nanosmith.server.models.cache import ModelCache


class Sampled(msgspec.Struct, frozen=True):
    told: Answer
    finish_reason: str = "stop"
    calls: tuple[dict[str, Any], ...] = ()


async def sampled(asked: ChatRequest, models: ModelCache) -> Sampled:
    """As in a chat completion; a call is its JSON. Raises InputError, ModelNotFound, Damaged, TooBusy."""
    model = await models.get(asked.model)
    if not is_writer(model):
        answer = await answer_to(asked, models)
        used = usage(answer)
        told = Answer(answer.content, model.name, used["prompt_tokens"], used["completion_tokens"])
        return Sampled(told, answer.finish_reason, (answer.tool_call(0),) if answer.calls else ())
    written = await write(question_to(model, asked))
    told = Answer(said(written.choices[0]), model.name, written.prompt_tokens, written.written_tokens)
    return Sampled(told, written.choices[0].reason or "stop")
