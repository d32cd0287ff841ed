"""One remote step of a route: its tries, the waits between them, and what they cost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.route import Step
from nanosmith.predict.endpoint.catalogue import Remote
from nanosmith.predict.endpoint.dialects.dialect import Call, garbage, used
from nanosmith.predict.endpoint.failure import WRONG_ANSWER, EndpointError
from nanosmith.predict.route import quantile
from nanosmith.server.chat.completions import Answer, check_request, planned
from nanosmith.server.chat.request import refused, turns
from nanosmith.server.models.cache import OpenModel
from nanosmith.server.models.turns import as_input
from nanosmith.server.money.purse import Purse
from nanosmith.server.routes.ask import Ask, LabelReply, Reply, StreamReply, TextReply
from nanosmith.server.routes.bill import Bill, Spent, opened
from nanosmith.server.routes.growing import first_of, has_begun
from nanosmith.server.routes.health import COOLING, Health
from nanosmith.server.routes.labelled import Asked, label_body, label_prediction
from nanosmith.server.routes.local import no_labels
from nanosmith.server.routes.upstream import Upstream
from nanosmith.store.ledger import new_id

Result = TypeVar("Result")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
OURS = ("model", "nanosmith", "store", "metadata", "stream", "stream_options")
"""Fields of a body that are for this server."""


class RemoteStep:
    """What asks one remote model for one request. `patient`: nobody else can be asked, so a cooldown is waited for."""

    def __init__(self, ask: Ask, step: Step, remote: Remote, health: Health, spent: Spent, *, patient: bool) -> None:
        self._ask = ask
        self._step = step
        self._remote = remote
        self._health = health
        self._spent = spent
        self._patient = patient

    async def reply(self, upstream: Upstream, purse: Purse, source: OpenModel | None, *, whole: bool) -> Reply:
        """`source`: the local model whose labels are asked for; `whole`: not as a stream, as it is judged first.

        Raises EndpointError, InputError, OverBudget."""
        ours = self._ask.chat.nanosmith
        if ours is not None and (ours.explain or ours.fields):
            raise refused("nanosmith", "a remote model explains nothing", "a route with a local model")
        if source is not None and (self._ask.labels_only or self._is_for(source)):
            return await self._tried(lambda: self._label(upstream, purse, source))
        if self._ask.labels_only:
            raise no_labels(self._remote.name)
        if self._ask.streams and not whole:
            return await self._tried(lambda: self._stream(upstream, purse))
        return await self._tried(lambda: self._text(upstream, purse, judged=whole))

    def _is_for(self, source: OpenModel) -> bool:
        """Whether labels are an answer to the request; tools and forms that they do not have go out as they came."""
        asked = msgspec.structs.replace(self._ask.chat, metadata=None)
        try:
            check_request(asked, source.manifest.task)
            planned(asked, source)
        except InputError:
            return False
        return True

    async def _tried(self, attempt: Callable[[], Awaitable[Reply]]) -> Reply:
        """Again after a pause, while that may help and there is time."""
        for number in range(self._step.retries + 1):
            try:
                return await self._once(attempt)
            except EndpointError as error:
                pause_s = self._pause_s(error, number)
                if number == self._step.retries or not error.may_pass or pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    async def _once(self, attempt: Callable[[], Awaitable[Reply]]) -> Reply:
        await self._admitted()
        try:
            with self._health.asked():
                async with asyncio.timeout(self._step.timeout_s):
                    reply = await attempt()
        except TimeoutError:
            self._health.failed(self._step)
            name, limit_s = self._remote.name, self._step.timeout_s
            raise EndpointError("timeout", f"{name} did not answer within {limit_s:g} s") from None
        except EndpointError as error:
            self._note(error)
            raise
        self._health.succeeded()
        return reply

    async def _admitted(self) -> None:
        """Waits for the end of a cooldown where nobody else can be asked. Raises EndpointError while it lasts."""
        while not self._health.may_ask:
            wait_s = self._health.wait_s
            if not self._patient or wait_s > self._left_s():
                what = f"{self._remote.name} cools down"
                raise EndpointError(self._health.reason, what, retry_after_s=wait_s or None, code=COOLING)
            await asyncio.sleep(wait_s + random.uniform(0, FIRST_PAUSE_S))  # noqa: S311  # no secret

    def _note(self, error: EndpointError) -> None:
        """What a failure says of the model's health; a wrong request and a wrong label say nothing."""
        if error.code == WRONG_ANSWER:
            return
        if error.kind == "rate_limited":
            self._health.limited(self._step, error.retry_after_s)
        elif error.kind != "refused" or error.status in (401, 402, 403, 429):
            self._health.failed(self._step, error.retry_after_s)

    def _pause_s(self, error: EndpointError, number: int) -> float | None:
        """Before the next try: exponential with full jitter, on top of what the provider asks for. None: another step
        is sooner there, or time runs out."""
        if error.retry_after_s and not self._patient:
            return None
        limit_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**number)
        pause_s = (error.retry_after_s or 0.0) + random.uniform(0, limit_s)  # noqa: S311  # no secret
        return pause_s if pause_s < self._left_s() else None

    def _left_s(self) -> float:
        return self._ask.until_s - asyncio.get_running_loop().time()

    async def _label(self, upstream: Upstream, purse: Purse, source: OpenModel) -> LabelReply:
        task, chat = source.manifest.task, self._ask.chat
        given = as_input(turns(chat), "messages")
        completion = await self._completion(upstream, purse, label_body(self._remote, task, given))
        prediction, share = label_prediction(self._remote, task, completion)
        asked = Asked(self._remote.name, source.manifest, str(completion.get("system_fingerprint") or ""))
        answer = Answer(chat, asked, prediction, new_id("chatcmpl-"), int(time.time()))
        return LabelReply(answer, self._spent, share)

    async def _text(self, upstream: Upstream, purse: Purse, *, judged: bool) -> TextReply:
        body, shown = self._body(), bool(self._ask.body.get("logprobs"))
        if judged and self._remote.model.can("logprobs"):
            body["logprobs"] = True
        completion = await self._completion(upstream, purse, body)
        completion["id"] = new_id("chatcmpl-")  # providers' may be the same twice, and are their business
        sure = [_sure(choice, self._step.quantile) for choice in completion["choices"]]
        if not shown:
            for choice in completion["choices"]:
                choice["logprobs"] = None
        known = [one for one in sure if one is not None]
        return TextReply(completion, self._spent, min(known) if len(known) == len(sure) else None)

    async def _stream(self, upstream: Upstream, purse: Purse) -> StreamReply:
        given = self._ask.body.get("stream_options")
        call = upstream.call(
            self._remote, self._body() | ({"stream_options": given} if given else {}) | {"stream": True}
        )
        rest = self._chunks(upstream, call, await self._opened(purse, call))
        first = await first_of(rest)
        if not any(map(has_begun, first)):
            await rest.aclose()
            raise garbage(self._remote, "the stream has no content")
        return StreamReply(first, rest, self._spent)

    async def _chunks(self, upstream: Upstream, call: Call, bill: Bill) -> AsyncGenerator[dict[str, Any]]:
        """With usage where the client wants it; the bill is paid at the end, or when nobody reads on."""
        wanted = bool((self._ask.body.get("stream_options") or {}).get("include_usage"))
        usage, begun, id = None, False, new_id("chatcmpl-")
        with bill.held():
            async with aclosing(upstream.chunks(self._remote, call, self._ask.chat.n or 1)) as chunks:
                try:
                    async for chunk in chunks:
                        usage, begun = used(chunk.get("usage")) or usage, begun or has_begun(chunk)
                        if shown := chunk if wanted else _without_usage(chunk):
                            yield shown | {"id": id}
                except EndpointError as error:
                    if begun:  # what fails before is noted by the one who tries again
                        self._note(error)
                    raise
            bill.paid(usage)
            self._spent.used = usage or self._spent.used

    async def _completion(self, upstream: Upstream, purse: Purse, body: dict[str, Any]) -> dict[str, Any]:
        call = upstream.call(self._remote, body)
        bill = await self._opened(purse, call)
        with bill.held():
            completion = await upstream.completion(self._remote, call)
            bill.paid(used(completion.get("usage")))
        return completion

    async def _opened(self, purse: Purse, call: Call) -> Bill:
        ask = self._ask
        return await opened(
            purse, self._remote, call, self._spent, project=ask.project, key=ask.key, route=ask.route.name
        )

    def _body(self) -> dict[str, Any]:
        """The whole body as it came, without what is for this server."""
        return {name: value for name, value in self._ask.body.items() if name not in OURS}


def _without_usage(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """What a client sees that did not ask for usage."""
    if not chunk["choices"]:
        return None
    return {name: value for name, value in chunk.items() if name != "usage"} if "usage" in chunk else chunk


def _sure(choice: dict[str, Any], share: float) -> float | None:
    """A choice's confidence, of its tokens' log-probabilities."""
    try:
        return quantile([float(token["logprob"]) for token in (choice.get("logprobs") or {})["content"]], share)
    except (LookupError, TypeError, ValueError):
        return None
