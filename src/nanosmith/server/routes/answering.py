"""From a request to the reply of its route, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.route import Route, Step
from nanosmith.core.settings import parse_duration
from nanosmith.core.task import Value
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.server.chat.request import ChatRequest, turns
from nanosmith.server.http.errors import ModelNotFound
from nanosmith.server.models.cache import OpenModel
from nanosmith.server.routes.ask import Ask, LabelReply, Reply, TextReply
from nanosmith.server.routes.bill import Spent
from nanosmith.server.routes.local import ask_local, is_labelled
from nanosmith.server.routes.observers import RouteEvent
from nanosmith.server.routes.remote import RemoteStep
from nanosmith.server.routes.rules import PRIVATE_HEADER, check_caller, is_private, steps_for
from nanosmith.server.routes.run import Done, Run
from nanosmith.server.routes.saved import count_answered_here
from nanosmith.server.services import Services, services
from nanosmith.server.watch.tally import tally_of

DEADLINE_HEADER = "x-nanosmith-deadline"


async def ask_of(
    request: Request, route: Route, body: Mapping[str, Any], chat: ChatRequest, *, streams: bool = False,
    labels_only: bool = False,
) -> Ask:  # fmt: skip
    """The request as routes are asked. Raises InputError, NotAllowed."""
    key, headers = tally_of(request.scope).key or "", request.headers
    asked = await ask_from_here(services(request), route, body, chat, key=key, private=headers.get(PRIVATE_HEADER))
    until_s = asked.began_s + _deadline_s(route, headers.get(DEADLINE_HEADER))
    return msgspec.structs.replace(asked, until_s=until_s, streams=streams, labels_only=labels_only)


async def ask_from_here(
    home: Services, route: Route, body: Mapping[str, Any], chat: ChatRequest, *, key: str, private: str | None = None
) -> Ask:
    """The same without an HTTP request; `private` is what its header would say. Raises NotAllowed."""
    check_caller(route, home.ledger.project)
    now = asyncio.get_running_loop().time()
    return Ask(
        route=route, home=home, body=body, chat=chat, key=key, private=await is_private(route, body, private),
        began_s=now, until_s=now + route.deadline_s,
    )  # fmt: skip


async def answered(ask: Ask) -> Done:
    """The reply of the first step that is sure enough. Raises NanosmithError."""
    return await Answering(ask).run()


class Answering:
    """The steps of one request, asked one by one."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._routing = ask.home.shared.routing
        self._spent = Spent()
        self._steps = steps_for(ask, [*self._routing.leads.of(ask), *ask.route.steps], self._routing.is_remote)
        self._asked: set[str] = set()

    async def run(self) -> Done:
        return await Run(self._ask, self._steps, self._reply, self._threshold).reply()

    def _threshold(self, step: Step) -> float | None:
        """By the model that answered: another project may have another one of the same name."""
        return self._routing.threshold(self._ask.route, step, self._ask.home.models.digest_of(step.model))

    async def _reply(self, step: Step, whole: bool) -> Reply:
        self._asked.add(step.model)
        if not self._routing.is_remote(step.model):
            return await self._local(step, whole)
        remote = self._routing.remote(step.model)
        others = {one.model for one in self._steps} - self._asked
        asking = RemoteStep(
            self._ask, step, remote, self._routing.health.of(remote.name), self._spent, patient=not others
        )
        source = await labels_of(self._ask.route, self._ask.home) if step.task == "auto" else None
        return await asking.reply(self._routing.upstream, self._ask.home.shared.purse, source, whole=whole)

    async def _local(self, step: Step, whole: bool) -> Reply:
        """Raises NanosmithError, also where the step takes too long."""
        try:
            async with asyncio.timeout(step.timeout_s):
                return await ask_local(self._ask, step, self._spent, whole=whole)
        except ModelNotFound as error:
            if step.model not in self._routing.routes:
                raise
            what = f"the step {step.model} of the route {self._ask.route.name} is a route, and a step is a model"
            raise ModelNotFound(what, remedy="Write the steps of that route into this one.") from error
        except TimeoutError:
            raise EndpointError("timeout", f"{step.model} did not answer within {step.timeout_s:g} s") from None


async def labels_of(route: Route, home: Services) -> OpenModel | None:
    """The first local model of the route that has labels: remote ones are asked for these. Raises NanosmithError."""
    for step in route.steps:
        if not home.shared.routing.is_remote(step.model):
            model = await home.models.get(step.model)
            if is_labelled(model):
                return model
    return None


def tell(ask: Ask, done: Done, content: str, *, streamed: bool) -> None:
    """Book an answer that is whole, and tell all observers of it."""
    count_answered_here(ask, done)
    observers = ask.home.shared.routing.observers
    if not observers.want(ask.route):
        return
    reply, now = done.reply, asyncio.get_running_loop().time()
    value: Value | None = reply.answer.prediction.answer if isinstance(reply, LabelReply) else None
    observers.tell(
        RouteEvent(
            id=_id_of(reply), route=ask.route, project=ask.project, body=ask.body, messages=_turns(ask.chat),
            tried=done.tried, step=done.step.model, content=content, value=value, confidence=reply.confidence,
            cost=reply.spent.cost, latency_ms=(now - ask.began_s) * 1000, streamed=streamed, private=ask.private,
        )
    )  # fmt: skip


def _id_of(reply: Reply) -> str:
    """Of the completion."""
    if isinstance(reply, LabelReply):
        return reply.answer.id
    return str(reply.completion["id"] if isinstance(reply, TextReply) else reply.first[0]["id"])


def headers_of(ask: Ask, done: Done) -> dict[str, str]:
    """What tells a client how its answer came to be."""
    told = {
        "x-nanosmith-route": ask.route.name, "x-nanosmith-step": printable(done.step.model),
        "x-nanosmith-escalated": "true" if done.escalated else "false",
    }  # fmt: skip
    if done.reply.confidence is not None:
        told["x-nanosmith-confidence"] = f"{done.reply.confidence:.4f}"
    if not done.accepted:
        told["x-nanosmith-unaccepted"] = "true"
    return told


def printable(name: str) -> str:
    """A model's name may have any letters, a header may not."""
    return name.encode("ascii", "replace").decode()


def _turns(chat: ChatRequest) -> tuple[Message, ...]:
    """The turns as text; none where they are not all text."""
    try:
        return turns(chat)
    except InputError:
        return ()


def _deadline_s(route: Route, header: str | None) -> float:
    """The shorter of the route's and the client's. Raises InputError."""
    if header is None:
        return route.deadline_s
    try:
        return min(route.deadline_s, parse_duration(header))
    except InputError:
        raise InputError("not a duration", where=f"the header {DEADLINE_HEADER}", got=repr(header[:40]),
                         allowed='such as "800ms" or "10s"', param=DEADLINE_HEADER) from None  # fmt: skip
