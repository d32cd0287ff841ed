"""The fake provider's HTTP server, on asyncio's streams, so that every fault can be made on the socket itself.

POST /v1/chat/completions   as OpenAI's, streamed too, with log-probabilities
GET  /v1/models
GET  /_seen[?texts=1]       what came in; these paths of ours are not counted
POST /_faults               the new faults, as text
POST /_clear                forget what came in
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.testing.provider.answers import Answer, last_text, logprobs, pieces
from nanosmith.testing.provider.faults import Drawn, Fault, Faults, parse_faults
from nanosmith.testing.provider.seen import Seen

CHAT = "/v1/chat/completions"
WORDS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
GARBAGE = b"\x00\xff{]<html>\xc3("
WRONG = "I would rather not say."
DRIPS = 8
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: close() sends RST


class Source(Protocol):
    """Who knows the answers."""

    def answer(self, turns: Sequence[Message]) -> Answer: ...


class Request(NamedTuple):
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class _Broken(Exception):
    """The connection ends here; `reset`: by RST."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset


class Provider:
    """One server; `key` None takes any."""

    def __init__(self, source: Source, *, faults: str = "", seed: int = 0, key: str | None = None,
                 price: tuple[float, float] = (0.0, 0.0)) -> None:  # fmt: skip
        self.source = source
        self.key = key
        self.seen = Seen(price)
        self._price = price
        self._seed = seed
        self._number = 0
        self.set_faults(faults)

    def set_faults(self, text: str) -> None:
        """Raises InputError."""
        self._faults = Faults(parse_faults(text), self._seed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        known = False
        try:
            while (request := await _read(reader)) is not None:
                if not request.path.startswith("/_") and not known:
                    self.seen.connections, known = self.seen.connections + 1, True
                await self._respond(request, writer)
        except _Broken as broken:
            if broken.reset:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # the client has gone, or speaks no HTTP
        except asyncio.CancelledError:
            pass  # the server ends
        finally:
            writer.close()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path.startswith("/_"):
            await _send(writer, 200, self._own(request))
            return
        self.seen.requests[request.path] += 1
        self.seen.bytes[request.path] += len(request.body) + sum(
            len(k) + len(v) + 4 for k, v in request.headers.items()
        )
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            await _send(writer, 401, _error("Incorrect API key provided", "invalid_api_key"))
        elif request.path == "/v1/models" and request.method == "GET":
            await _send(writer, 200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})
        elif request.path != CHAT or request.method != "POST":
            await _send(writer, 404, _error("there is no such path", "not_found"))
        else:
            await self._chat(request, writer)

    def _own(self, request: Request) -> Any:
        if request.path == "/_faults":
            try:
                self.set_faults(request.body.decode())
            except InputError as error:
                return {"error": str(error)}
        elif request.path == "/_clear":
            self.seen = Seen(self._price)
        return self.seen.as_object(texts="texts=1" in request.query)

    async def _chat(self, request: Request, writer: asyncio.StreamWriter) -> None:
        drawn = self._faults.draw(self._number)
        self._number += 1
        if drawn.latency_s:
            await asyncio.sleep(drawn.latency_s)
        if drawn.fault is not None:
            self.seen.faults[drawn.fault.kind] += 1
            if await _refused(drawn.fault, writer):
                return
        try:
            body = json.loads(request.body)
            turns = [Message(str(one["role"]), _text(one.get("content"))) for one in body["messages"]]
        except (ValueError, KeyError, TypeError):
            await _send(writer, 400, _error("the body is no chat completion", "invalid_request_error"))
            return
        answer = self.source.answer(turns)
        if drawn.fault is not None and drawn.fault.kind == "wrong":
            answer = Answer(WRONG, {WRONG: 1.0})
        made = _Made(body, answer, sum(len(turn.content.split()) for turn in turns))
        self.seen.answered(last_text(turns), made.prompt_tokens, made.written_tokens)
        if body.get("stream"):
            await _stream(writer, made, drawn)
        else:
            await _whole(writer, msgspec.json.encode(made.completion()), drawn)


class _Made:
    """One answer in OpenAI's forms."""

    def __init__(self, body: Mapping[str, Any], answer: Answer, prompt_tokens: int) -> None:
        self._model = body.get("model", "fake")
        self._wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._answer = answer
        self._pieces = pieces(answer.content)
        self._logprobs = logprobs(answer, body.get("top_logprobs") or 0) if body.get("logprobs") else None
        self._head = {"id": "chatcmpl-fake", "created": int(time.time()), "model": self._model}
        self.prompt_tokens, self.written_tokens = prompt_tokens, len(self._pieces)

    def completion(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self._answer.content, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": self._logprobs, "finish_reason": "stop"}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    def events(self) -> list[bytes]:
        """All events of a stream, the last [DONE]."""
        chunks = [self._chunk({"role": "assistant", "content": ""})]
        for i, piece in enumerate(self._pieces):
            shown = None if self._logprobs is None else {**self._logprobs, "content": [self._logprobs["content"][i]]}
            chunks.append(self._chunk({"content": piece}, shown))
        chunks.append(self._chunk({}, None, "stop"))
        if self._wants_usage:
            chunks.append({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage()})
        return [b"data: " + msgspec.json.encode(one) + b"\n\n" for one in chunks] + [b"data: [DONE]\n\n"]

    def _chunk(self, delta: dict[str, Any], shown: Any = None, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": shown, "finish_reason": reason}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}

    def _usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens, "completion_tokens": self.written_tokens,
            "total_tokens": self.prompt_tokens + self.written_tokens, "prompt_tokens_details": {"cached_tokens": 0},
        }  # fmt: skip


async def _refused(fault: Fault, writer: asyncio.StreamWriter) -> bool:
    """Whether the fault stands in place of an answer; it has then happened."""
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds)
        raise _Broken
    if fault.kind == "reset":
        raise _Broken(reset=True)
    if fault.kind.startswith("429"):
        after = {} if fault.kind == "429-bare" else {"retry-after": f"{fault.seconds:g}"}
        await _send(writer, 429, _error("Rate limit reached", "rate_limit_exceeded"), after)
        return True
    if fault.kind.isdecimal():
        await _send(writer, int(fault.kind), _error("The server had an error", "server_error"))
        return True
    return False


async def _whole(writer: asyncio.StreamWriter, content: bytes, drawn: Drawn) -> None:
    kind = drawn.fault.kind if drawn.fault else None
    if kind == "garbage":
        content = GARBAGE
    writer.write(_head(200, len(content)))
    if kind == "half":
        writer.write(content[: len(content) // 2])
        await writer.drain()
        raise _Broken
    async for piece in _dripped(_slices(content) if kind == "drip" else [content], drawn):
        writer.write(piece)
    await writer.drain()


async def _stream(writer: asyncio.StreamWriter, made: _Made, drawn: Drawn) -> None:
    """Half of a stream ends as a whole one does, but for [DONE]."""
    kind = drawn.fault.kind if drawn.fault else None
    events = made.events()
    if kind == "half":
        events = events[: max(1, len(made.events()) // 2)]
    if kind == "garbage":
        events[1:] = [b"data: " + GARBAGE + b"\n\n"]
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    async for event in _dripped(events, drawn):
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _dripped(parts: Sequence[bytes], drawn: Drawn) -> AsyncIterator[bytes]:
    slow = drawn.fault if drawn.fault and drawn.fault.kind == "drip" else None
    for part in parts:
        yield part
        if slow is not None:
            await asyncio.sleep(slow.seconds)


def _slices(content: bytes) -> list[bytes]:
    size = max(1, len(content) // DRIPS)
    return [content[i : i + size] for i in range(0, len(content), size)]


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None where the client has gone."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head.decode("latin-1").split("\r\n")
    headers = {}
    for field in rest:
        name, colon, value = field.partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    method, target, _ = line.split(" ", 2)
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _send(
    writer: asyncio.StreamWriter, status: int, content: Any, headers: Mapping[str, str] | None = None
) -> None:
    body = msgspec.json.encode(content)
    writer.write(_head(status, len(body), headers) + body)
    await writer.drain()


def _head(status: int, length: int, headers: Mapping[str, str] | None = None) -> bytes:
    own = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return (
        f"HTTP/1.1 {status} {WORDS.get(status, 'Error')}\r\ncontent-type: application/json\r\n"
        f"content-length: {length}\r\n{own}\r\n"
    ).encode()


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "code": code, "param": None}}


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return content if isinstance(content, str) else ""
