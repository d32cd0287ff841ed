"""The desk at which texts are written: turns, places, and who leaves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.generation import Grammar, Piece, Sampling
from nanosmith.server.http.errors import TooBusy
from nanosmith.server.models.writing import Desk, Writing


class Counter:
    """Writes numbers, one in each step of 20 ms, and notes what it wrote and whether it was closed."""

    def __init__(self, name: str, log: list[str], count: int = 5) -> None:
        self.name, self.log, self.count = name, log, count
        self.closed = threading.Event()

    def generate(self, _given: Any, _sampling: Sampling, stopped: Callable[[], bool]) -> Iterator[Piece]:
        try:
            yield Piece("")  # a step without anything
            for i in range(self.count):
                time.sleep(0.02)
                if stopped():
                    return
                self.log.append(self.name)
                yield Piece(str(i))
            yield Piece("", finish_reason="stop")
        finally:
            self.closed.set()


@asynccontextmanager
async def desk(places: int = 8) -> AsyncIterator[Desk]:
    with ThreadPoolExecutor(1) as thread:
        yield Desk(thread, places=places)


def begin(at: Desk, generator: Any, asked: tuple[Sampling, ...] = (Sampling(),)) -> Writing:
    return Writing(at.write(generator, "", asked))


async def text(writing: Writing) -> str:
    return "".join([part.piece.text async for part in writing])


def test_turns() -> None:
    """Two texts are written in turns, however long one of them is."""

    async def run() -> list[str]:
        log: list[str] = []
        async with desk() as at:
            both = [begin(at, Counter(name, log)) for name in "ab"]
            assert await asyncio.gather(*map(text, both)) == ["01234"] * 2
        return log

    log = asyncio.run(run())
    assert max(len(run) for run in "".join(log).replace("ab", "a b").replace("ba", "b a").split()) <= 2


def test_leaving_frees_the_place() -> None:
    """The text is closed on the thread, and the next one begins."""

    async def run() -> None:
        log: list[str] = []
        async with desk(places=1) as at:
            long, short = Counter("long", log, 1000), Counter("short", log, 2)
            first, second = (begin(at, one) for one in (long, short))
            await first.begun()
            assert at.waiting == 1
            began = time.monotonic()
            first.leave()
            assert await text(second) == "01"
            assert long.closed.is_set()
            assert time.monotonic() - began < 1
            assert log.count("long") < 10

    asyncio.run(run())


def test_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may wait is refused at once."""
    monkeypatch.setattr("nanosmith.server.models.writing.MAX_WAITING_WRITERS", 1)

    async def run() -> None:
        async with desk(places=1) as at:
            writings = [begin(at, Counter("x", [])) for _ in range(3)]
            with pytest.raises(TooBusy):
                await writings[2].begun()
            assert [await text(one) for one in writings[:2]] == ["01234"] * 2

    asyncio.run(run())


def test_a_failure_comes_after_what_was_written() -> None:
    """The reader gets the pieces, then the error."""

    class Broken(Counter):
        def generate(self, *given: Any) -> Iterator[Piece]:
            yield Piece("a")
            raise ValueError("broken")

    async def run() -> None:
        async with desk() as at:
            pieces = aiter(begin(at, Broken("x", [])))
            assert (await anext(pieces)).piece.text == "a"
            with pytest.raises(ValueError, match="broken"):
                await anext(pieces)

    asyncio.run(run())


def test_a_grammar_is_compiled_beside_the_others() -> None:
    """While one is being compiled, texts go on; a refused one takes no place."""

    class Compiling:
        looks = 0

        def ready(self, _wait_s: float) -> bool:
            self.looks += 1
            if self.looks > 20:
                raise InputError("too complex")
            return False

    class Strict(Counter):
        def prepare(self, _grammar: Grammar) -> Compiling:
            return Compiling()

    async def run() -> None:
        asked = (Sampling(grammar=Grammar("regex", "a")),)
        async with desk(places=1) as at:
            other = begin(at, Counter("x", []))
            hostile = begin(at, Strict("y", []), asked)
            with pytest.raises(InputError, match="too complex"):
                await hostile.begun()
            assert await text(other) == "01234"

    asyncio.run(run())
