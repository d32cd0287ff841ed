"""Explanations of answers, for requests that ask for one in the extension field `nanosmith`."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import msgspec
from starlette.requests import Request

from nanosmith.core.example import Input
from nanosmith.core.limits import MAX_WAITING_EXPLANATIONS
from nanosmith.core.task import Value
from nanosmith.server.http.errors import TooBusy
from nanosmith.server.models.cache import OpenModel
from nanosmith.server.models.extension import Extension
from nanosmith.server.services import services
from nanosmith.server.watch.tally import count_tokens


async def explanation(
    request: Request, asked: Extension | None, model: OpenModel, given: Input, value: Value
) -> dict[str, Any]:
    """The field `nanosmith` of the response, in an object that has nothing else; an empty one when not asked for.

    One explanation is made at a time, on a thread of its own, so that predictions need not wait for it. What the model
    read for it counts for the limits of the key. Raises TooBusy when too many others wait.
    """
    if asked is None or not asked.explain:
        return {}
    from nanosmith.predict.explain import explain

    turn = services(request).shared.explaining
    waiting = turn.statistics().tasks_waiting
    if waiting >= MAX_WAITING_EXPLANATIONS:
        raise TooBusy(
            "too many explanations wait", got=waiting, allowed=MAX_WAITING_EXPLANATIONS, remedy="Try again in a second."
        )
    found = await anyio.to_thread.run_sync(explain, model.predictor, given, value, limiter=turn)
    count_tokens(request, found.tokens, model=model.name, predictions=0)
    return {"nanosmith": {"explanation": msgspec.to_builtins(found)}}
