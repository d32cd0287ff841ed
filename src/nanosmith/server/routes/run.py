"""One request through its route: step after step, until one is sure enough.

A step that fails leaves the answer to the next of its tier, else to the next tier; one that is not sure enough to the
next tier at once. Where a step has `hedge_after`, the next one is asked beside it after that time, and the first that
answers well enough answers.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from nanosmith.core.errors import InputError, NanosmithError, NotFound, OverBudget
from nanosmith.core.route import Step
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.server.http.errors import ApiError
from nanosmith.server.routes.ask import Ask, Reply, StreamReply
from nanosmith.server.routes.errors import AllBusy, AllFailed, NotSure, late, told
from nanosmith.server.routes.health import COOLING
from nanosmith.server.routes.observers import Tried
from nanosmith.server.routes.rules import private_refused

AskStep: TypeAlias = Callable[[Step, bool], Awaitable[Reply]]
"""From a step, and whether its answer is to come whole, to its reply. Raises NanosmithError."""


class Done:
    """A route's reply, whose it is, and how it came to it. `accepted` is False for the best of answers that were not
    sure enough."""

    def __init__(self, step: Step, reply: Reply, tried: Sequence[Tried], *, accepted: bool = True) -> None:
        self.step = step
        self.reply = reply
        self.tried = tuple(tried)
        self.accepted = accepted

    @property
    def escalated(self) -> bool:
        """Whether another step was asked before."""
        return len({one.model for one in self.tried}) > 1


class Run:
    """The state of one request. `threshold` gives what a step's confidence must reach, None: any answer will do."""

    def __init__(
        self, ask: Ask, steps: Sequence[Step], ask_step: AskStep, threshold: Callable[[Step], float | None]
    ) -> None:
        self._ask = ask
        self._ask_step = ask_step
        self._threshold = threshold
        self._left_out = any(step not in steps for step in ask.route.steps)
        self._waiting = in_order(steps)
        self._running: dict[asyncio.Task[Reply], tuple[Step, float]] = {}
        self._asking: Step | None = None
        self._tried: list[Tried] = []
        self._errors: list[NanosmithError] = []
        self._best: tuple[float, Step, Reply] | None = None

    async def reply(self) -> Done:
        """Raises NanosmithError: that no step is left, or that the deadline has passed."""
        try:
            async with asyncio.timeout_at(self._ask.until_s):
                while self._waiting or self._running:
                    if (done := await self._next()) is not None:
                        return done
        except TimeoutError:
            return self._without(late(self._ask.route.name, self._ask.until_s - self._ask.began_s, self._told()))
        finally:
            await self._leave()
        return self._without(self._failure())

    async def _next(self) -> Done | None:
        """The answer, if the next step that ends has one."""
        if not self._running:
            step = self._waiting.pop(0)
            if step.hedge_after_s is None or not self._waiting:
                self._asking = step
                return await self._ended(step, self._reply(step), time.perf_counter())
            self._start(step)
        ended = await self._first()
        if not ended:
            self._start(self._waiting.pop(0))
            return None
        found = None
        for task in ended:
            step, began = self._running.pop(task)
            if found is None:
                found = await self._ended(step, _result(task), began)
            elif task.exception() is None:
                await task.result().close()
        return found

    async def _first(self) -> set[asyncio.Task[Reply]]:
        """Those that ended first; none when it is time to ask one more."""
        step, began = list(self._running.values())[-1]
        left_s = None
        if step.hedge_after_s is not None and self._waiting:
            left_s = max(0.0, step.hedge_after_s - (time.perf_counter() - began))
        return (await asyncio.wait(self._running, timeout=left_s, return_when=asyncio.FIRST_COMPLETED))[0]

    def _start(self, step: Step) -> None:
        self._running[asyncio.ensure_future(self._reply(step))] = step, time.perf_counter()

    async def _reply(self, step: Step) -> Reply:
        return await self._ask_step(step, self._threshold(step) is not None)

    async def _ended(self, step: Step, reply: Awaitable[Reply], began: float) -> Done | None:
        """What a step's end means."""
        try:
            given = await reply
        except NanosmithError as error:
            self._failed(step, error, began)
            return None
        outcome = self._judged(step, given)
        self._note(step, outcome, began, given.confidence)
        if outcome == "answered":
            return Done(step, given, self._tried)
        sure = -1.0 if given.confidence is None or given.out_of_scope else given.confidence
        if self._best is None or sure > self._best[0]:
            self._best = sure, step, given
        self._waiting = [other for other in self._waiting if other.tier != step.tier]
        return None

    def _judged(self, step: Step, reply: Reply) -> str:
        wanted = self._threshold(step)
        if wanted is None:
            return "answered"
        if reply.out_of_scope:
            return "out_of_scope"
        if reply.confidence is None:
            return "unsure"
        return "answered" if reply.confidence >= wanted else "below"

    def _failed(self, step: Step, error: NanosmithError, began: float) -> None:
        self._errors.append(error)
        outcome = error.kind if isinstance(error, EndpointError) and error.code != COOLING else error.code
        self._note(step, outcome or type(error).__name__, began)

    def _note(self, step: Step, outcome: str, began: float, confidence: float | None = None) -> None:
        self._asking = None
        self._tried.append(Tried(step.model, outcome, confidence, (time.perf_counter() - began) * 1000))

    def _without(self, error: NanosmithError) -> Done:
        """What becomes of a request that no step answered well enough. Raises the error, where the route wants one."""
        if self._best is not None and self._ask.route.otherwise == "best":
            return Done(self._best[1], self._best[2], self._tried, accepted=False)
        raise error

    def _failure(self) -> NanosmithError:
        """Of all that went wrong, what the client can do something about."""
        name, errors = self._ask.route.name, self._errors
        if self._ask.private and self._left_out:
            return private_refused(self._ask.route, self._told())
        if not errors:
            return NotSure(f"no step of the route {name} was sure enough", got=self._told(), param="messages")
        if all(map(_is_the_clients, errors)):
            return errors[-1]
        if len(errors) == 1 and isinstance(errors[0], ApiError):
            return errors[0]
        refusals = [e for e in errors if isinstance(e, EndpointError) and e.status in (400, 413, 422)]
        if len(refusals) == len(errors):
            return InputError(str(errors[-1]), param="messages", code="refused_by_provider")
        waits = [e.retry_after_s for e in errors if isinstance(e, EndpointError) and e.kind == "rate_limited"]
        if waits and len(waits) == len(errors):
            waits_s = min((wait for wait in waits if wait is not None), default=None)
            return AllBusy(f"all models of the route {name} are busy", got=self._told(), retry_after_s=waits_s)
        return AllFailed(
            f"no model of the route {name} answered", got=f"{self._told()}; the last said: {errors[-1]}", param="model"
        )

    def _told(self) -> str:
        asked = [step for step, _ in self._running.values()] + ([self._asking] if self._asking else [])
        running = [(step.model, "no answer yet") for step in asked]
        return told([*((one.model, one.outcome) for one in self._tried), *running])

    async def _leave(self) -> None:
        """Nobody waits for those that still run: their connections are closed."""
        for task in self._running:
            task.cancel()
        if self._running:
            for result in await asyncio.gather(*self._running, return_exceptions=True):
                if isinstance(result, StreamReply):
                    await result.close()
        self._running.clear()


def _is_the_clients(error: NanosmithError) -> bool:
    """A step that names no model is not."""
    return isinstance(error, InputError | OverBudget) and not isinstance(error, NotFound)


async def _result(task: asyncio.Task[Reply]) -> Reply:
    return task.result()


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Tier after tier; within one by chance, so that each is first as often as its weight says (Efraimidis and
    Spirakis, https://doi.org/10.1016/j.ipl.2005.11.003)."""
    if len({step.tier for step in steps}) == len(steps):
        return list(steps)
    drawn = {id(step): -math.log(1.0 - random.random()) / step.weight for step in steps}  # noqa: S311  # no secret
    return sorted(steps, key=lambda step: (step.tier, drawn[id(step)]))
