"""A response as server-sent events, in OpenAI's order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import msgspec

from nanosmith.server.watch.middleware import log

ENDS = ("completed_at", "usage")
"""What only a response that has ended has."""


def stream_events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events that tell of a response: it begins, each item with its parts, it is complete."""
    begun = {name: value for name, value in response.items() if name not in ENDS}
    begun |= {"status": "in_progress", "output": []}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        yield from _item_events(item, {"output_index": index})
    yield {"type": "response.completed", "response": response}


async def server_sent(events: Iterable[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Events with their numbers. A failure in the middle is an `error` event, and the stream then ends without
    `response.completed`: a client must not take half an answer for a whole one."""
    number = 0
    try:
        for event in events:
            yield _encoded(event, number)
            number += 1
    except Exception:
        log.exception("a stream failed")
        error = {"type": "error", "code": "server_error", "message": "The stream failed on the server.", "param": None}
        yield _encoded(error, number)


def _item_events(item: dict[str, Any], at: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.output_item.added", "item": item | {"status": "in_progress", "content": []}} | at
    for index, part in enumerate(item["content"]):
        inner = at | {"item_id": item["id"], "content_index": index}
        text, logprobs = part["text"], part["logprobs"]
        yield {"type": "response.content_part.added", "part": part | {"text": "", "logprobs": []}} | inner
        yield {"type": "response.output_text.delta", "delta": text, "logprobs": logprobs} | inner
        yield {"type": "response.output_text.done", "text": text, "logprobs": logprobs} | inner
        yield {"type": "response.content_part.done", "part": part} | inner
    yield {"type": "response.output_item.done", "item": item} | at


def _encoded(event: dict[str, Any], number: int) -> bytes:
    data = msgspec.json.encode(event | {"sequence_number": number})
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), data)
