"""Texts as they are written: several on one model, each in its turn, on the model's thread.

A turn lasts TURN_S, or one token where that takes longer. The thread takes turns in the order in which they were asked
for, and a text asks for its next turn when it had one: so all that are being written go on equally fast, and a long one
delays a short one no more than by the turns in between. What is written waits in memory for its reader: a client that
reads slowly holds no place.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from nanosmith.core.example import Input
from nanosmith.core.generation import Generator, Grammar, Piece, Sampling
from nanosmith.core.limits import MAX_WAITING_WRITERS, MAX_WRITER_WAIT_S, MAX_WRITERS, MAX_WRITING_S
from nanosmith.server.http.errors import TooBusy, TooSlow

TURN_S = 0.015
COMPILERS = 2
"""Grammars that are compiled at the same time, for one model."""
LOOK_S = 0.002


class Part(NamedTuple):
    """A piece of the `choice`-th text."""

    choice: int
    piece: Piece


class Desk:
    """Where texts are written: `places` at a time, all others wait in their order."""

    def __init__(self, thread: ThreadPoolExecutor, *, places: int = MAX_WRITERS) -> None:
        self._thread = thread
        self._places = asyncio.Semaphore(places)
        self._compilers = asyncio.Semaphore(COMPILERS)
        self._left: deque[Iterator[Piece]] = deque()
        self.waiting = 0

    async def write(self, generator: Generator, given: Input, wanted: Sequence[Sampling]) -> AsyncIterator[Part]:
        """One text after the other, so that a request has one turn however many texts it wants.

        Raises TooBusy when too many others wait, or for too long; and what `Generator.generate` raises.
        """
        await self._prepared(generator, wanted[0].grammar)
        async with self._place():
            for choice, sampling in enumerate(wanted):
                async for piece in self._pieces(generator, given, sampling):
                    yield Part(choice, piece)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        await self._take(self._places)
        try:
            yield
        finally:
            self._places.release()

    async def _take(self, places: asyncio.Semaphore) -> None:
        """Waits in the queue. Raises TooBusy."""
        if places.locked() and self.waiting >= MAX_WAITING_WRITERS:
            raise _busy(f"{self.waiting} texts wait for this model", MAX_WAITING_WRITERS)
        self.waiting += 1
        try:
            async with asyncio.timeout(MAX_WRITER_WAIT_S):
                await places.acquire()
        except TimeoutError:
            raise _busy(f"waited {MAX_WRITER_WAIT_S} s for this model", f"{MAX_WRITER_WAIT_S} s") from None
        finally:
            self.waiting -= 1

    async def _prepared(self, generator: Generator, grammar: Grammar | None) -> None:
        """A grammar is compiled beside the thread and before a place is taken, so that a hostile one delays nobody.
        Raises InputError, TooBusy."""
        prepare = getattr(generator, "prepare", None)
        if grammar is None or prepare is None:
            return
        await self._take(self._compilers)
        try:
            compiling = await asyncio.to_thread(prepare, grammar)
            while not compiling.ready(0):
                await asyncio.sleep(LOOK_S)
        finally:
            self._compilers.release()

    async def _pieces(self, generator: Generator, given: Input, sampling: Sampling) -> AsyncIterator[Piece]:
        """Whoever stops reading them closes this: the thread then ends the text before any other's next turn."""
        stopped = threading.Event()
        pieces = generator.generate(given, sampling, stopped.is_set)
        loop, ended = asyncio.get_running_loop(), False
        try:
            while not ended:
                written, ended, error = await loop.run_in_executor(self._thread, self._turn, pieces)
                for piece in written:
                    yield piece
                if error is not None:
                    raise error
        finally:
            if not ended:
                stopped.set()
                self._left.append(pieces)
                with suppress(RuntimeError):  # the process ends
                    self._thread.submit(self._close_left)

    def _turn(self, pieces: Iterator[Piece]) -> tuple[list[Piece], bool, Exception | None]:
        """The next pieces, whether they are the last, and what ended them; those without anything in them only mark
        steps. On the thread."""
        self._close_left()
        end, written = time.monotonic() + TURN_S, []
        try:
            for piece in pieces:
                if piece.text or piece.logprobs or piece.finish_reason:
                    written.append(piece)
                if time.monotonic() >= end:
                    return written, False, None
        except Exception as error:
            return written, True, error
        return written, True, None

    def _close_left(self) -> None:
        while self._left:
            pieces = self._left.popleft()
            if close := getattr(pieces, "close", None):
                close()


class Writing:
    """The texts of one request, written in the background from now on.

    Whoever makes one ends it with `leave`, which may be called at any time and frees the place at once.
    """

    def __init__(self, parts: AsyncIterator[Part]) -> None:
        self._parts = parts
        self._written: asyncio.Queue[Part | Exception | None] = asyncio.Queue()
        self._first: Part | None = None
        self._task = asyncio.create_task(self._write())

    async def begun(self) -> None:
        """Waits for the first piece. Raises what goes wrong before it."""
        self._first = await self._next()

    async def __aiter__(self) -> AsyncIterator[Part]:
        """Raises what went wrong, after the pieces that came before."""
        part, self._first = self._first or await self._next(), None
        while part is not None:
            yield part
            part = await self._next()

    def leave(self) -> None:
        self._task.cancel()

    async def _next(self) -> Part | None:
        part = await self._written.get()
        if isinstance(part, Exception):
            raise part
        return part

    async def _write(self) -> None:
        end: Exception | None = None
        try:
            async with asyncio.timeout(MAX_WRITING_S):
                async for part in self._parts:
                    self._written.put_nowait(part)
        except TimeoutError:
            end = TooSlow(f"the text was not finished after {MAX_WRITING_S} s", remedy="Ask for fewer tokens.")
        except Exception as error:
            end = error
        self._written.put_nowait(end)


def _busy(got: str, allowed: object) -> TooBusy:
    return TooBusy("too many texts are being written", got=got, allowed=allowed, remedy="Try again in a second.")
