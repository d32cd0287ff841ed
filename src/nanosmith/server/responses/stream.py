"""A response as server-sent events, in OpenAI's order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from nanosmith.core.errors import NanosmithError
from nanosmith.server.http.event_stream import STOPPING
from nanosmith.server.watch.middleware import log

ENDS = ("completed_at", "usage")
"""What only a response that has ended has."""
CALL = "function_call"


def stream_events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events that tell of a response: it begins, each item with its parts, it is complete."""
    yield from begun_events(response)
    for index, item in enumerate(response["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        text, logprobs = said(item)
        yield from added_events(item, at)
        yield delta_event(item, at, text, logprobs)
        yield from done_events(item, at)
    yield ended_event(response)


def begun_events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`response` may be one that has ended."""
    begun = {name: value for name, value in response.items() if name not in ENDS}
    begun |= {"status": "in_progress", "output": [], "incomplete_details": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}


def ended_event(response: dict[str, Any]) -> dict[str, Any]:
    """`response.completed` or `response.incomplete`."""
    return {"type": f"response.{response['status']}", "response": response}


class Sent:
    """The events of one response as they are sent, with their numbers."""

    def __init__(self) -> None:
        self._number = 0

    async def each(self, events: AsyncGenerator[dict[str, Any]]) -> AsyncGenerator[bytes]:
        """A failure in the middle is an `error` event, and the stream then ends without `response.completed`: a client
        must not take half an answer for a whole one."""
        try:
            async with aclosing(events):
                async for event in events:
                    yield self._numbered(event)
        except NanosmithError as error:
            yield self._error(str(error), error.code)
        except Exception:
            log.exception("a stream failed")
            yield self._error("The stream failed on the server.", "server_error")

    def stopping(self) -> bytes:
        """The last event of a stream that the server's end cuts off."""
        return self._error(STOPPING, "server_error")

    def _error(self, message: str, code: str | None) -> bytes:
        return self._numbered({"type": "error", "code": code, "message": message, "param": None})

    def _numbered(self, event: dict[str, Any]) -> bytes:
        number, self._number = self._number, self._number + 1
        return encoded(event, number)


async def server_sent(events: Iterable[dict[str, Any]]) -> AsyncGenerator[bytes]:
    """Those of a response that is whole."""

    async def each() -> AsyncGenerator[dict[str, Any]]:
        for event in events:
            yield event

    async for sent in Sent().each(each()):
        yield sent


def added_events(item: dict[str, Any], at: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message or call begins; `at` has its id and its place in the output."""
    empty: dict[str, Any] = {"arguments": ""} if item["type"] == CALL else {"content": []}
    added = item | {"status": "in_progress"} | empty
    yield {"type": "response.output_item.added", "item": added, "output_index": at["output_index"]}
    if item["type"] != CALL:
        part = item["content"][0] | {"text": "", "logprobs": []}
        yield {"type": "response.content_part.added", "part": part, "content_index": 0} | at


def delta_event(item: dict[str, Any], at: dict[str, Any], new: str, logprobs: list[Any]) -> dict[str, Any]:
    """More of a call's arguments, or of a message's text."""
    if item["type"] == CALL:
        return {"type": "response.function_call_arguments.delta", "delta": new} | at
    return {"type": "response.output_text.delta", "delta": new, "logprobs": logprobs, "content_index": 0} | at


def done_events(item: dict[str, Any], at: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An item is whole."""
    if item["type"] == CALL:
        told = {"name": item["name"], "arguments": item["arguments"]}
        yield {"type": "response.function_call_arguments.done"} | told | at
    else:
        text, logprobs = said(item)
        yield {"type": "response.output_text.done", "text": text, "logprobs": logprobs, "content_index": 0} | at
        yield {"type": "response.content_part.done", "part": item["content"][0], "content_index": 0} | at
    yield {"type": "response.output_item.done", "item": item, "output_index": at["output_index"]}


def said(item: dict[str, Any]) -> tuple[str, list[Any]]:
    """An item's text and its log-probabilities; of a call, its arguments."""
    if item["type"] == CALL:
        return item["arguments"], []
    return item["content"][0]["text"], item["content"][0]["logprobs"]


def encoded(event: dict[str, Any], number: int) -> bytes:
    data = msgspec.json.encode(event | {"sequence_number": number})
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), data)
