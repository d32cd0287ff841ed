"""One try of one remote model: an OpenAI body in, a completion or its chunks out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import cache
from typing import Any

import msgspec

from nanosmith.core import registry
from nanosmith.predict.endpoint.catalogue import Provider, Remote
from nanosmith.predict.endpoint.dialects.dialect import Call, Chunks, Dialect, garbage
from nanosmith.predict.endpoint.events import EventParser
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.server.routes.http_client import OK, Connection
from nanosmith.server.routes.transport import Transport, whole_body


class Upstream:
    """All remote models of one server. `key_of` gives a provider's key, None where it needs none."""

    def __init__(self, transport: Transport, key_of: Callable[[Provider], str | None]) -> None:
        self._transport = transport
        self._key_of = key_of

    def call(self, remote: Remote, body: Mapping[str, Any]) -> Call:
        """The request as the provider takes it. Raises InputError for what it has no word for."""
        return dialect_of(remote).call(remote, body, self._key_of(remote.provider))

    async def completion(self, remote: Remote, call: Call) -> dict[str, Any]:
        """A whole chat.completion. Raises EndpointError."""
        async with self._transport.posted(remote, call) as response:
            body = await whole_body(remote, response)
        _check(remote, response, body)
        try:
            reply = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise garbage(remote, f"not JSON, {body[:60]!r}") from None
        try:
            return dialect_of(remote).answer(remote, reply)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise garbage(remote, f"an answer of another form ({type(error).__name__})") from error

    async def chunks(self, remote: Remote, call: Call, choices: int) -> AsyncGenerator[dict[str, Any]]:
        """chat.completion.chunk objects as they come; usage in the last. Raises EndpointError, also where the stream
        stops before all `choices` have ended. Closing this closes the connection."""
        async with self._transport.posted(remote, call) as response:
            if response.status != OK:
                _check(remote, response, await whole_body(remote, response))
            ends = _Ends(dialect_of(remote).chunks(remote), choices)
            async with aclosing(_events(remote, response, ends)) as chunks:
                async for chunk in chunks:
                    yield chunk
            if not ends.is_whole:
                raise EndpointError("broken_stream", f"the stream of {remote.name} stopped before its end")


class _Ends:
    """Whether a stream was seen to its end: its own end mark, or a reason why each choice ended."""

    def __init__(self, chunks: Chunks, choices: int) -> None:
        self.chunks = chunks
        self._open = set(range(choices))

    @property
    def is_whole(self) -> bool:
        return self.chunks.finished or not self._open

    def see(self, chunk: Mapping[str, Any]) -> None:
        for choice in chunk["choices"]:
            if choice.get("finish_reason"):
                self._open.discard(choice.get("index", 0))


async def _events(remote: Remote, response: Connection, ends: _Ends) -> AsyncGenerator[dict[str, Any]]:
    parser = EventParser()
    while piece := await response.piece():
        try:
            chunks = [chunk for event in parser.feed(piece) for chunk in ends.chunks.take(event)]
            for chunk in chunks:
                ends.see(chunk)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise garbage(remote, f"an event of another form ({type(error).__name__})") from error
        for chunk in chunks:
            yield chunk
        if ends.chunks.finished:
            return


def _check(remote: Remote, response: Connection, body: bytes) -> None:
    """Raises EndpointError for a status that is no success."""
    if response.status != OK:
        raise dialect_of(remote).failure(remote, response.status, response.headers, body)


def dialect_of(remote: Remote) -> Dialect:
    return _dialect(remote.provider.dialect)


@cache
def _dialect(name: str) -> Dialect:
    made: Dialect = registry.load("dialects", name)()
    return made
