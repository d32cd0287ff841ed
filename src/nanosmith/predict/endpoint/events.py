"""Server-sent events, from bytes as they arrive (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from typing import NamedTuple

MAX_EVENT_BYTES = 16 * 1024**2


class Event(NamedTuple):
    """`name` is "" where the event has none; `data` its lines joined by line breaks."""

    name: str
    data: str


class EventParser:
    """Feed it bytes in any pieces; it gives the events that are complete. Comments and other fields are ignored."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []

    def feed(self, content: bytes) -> list[Event]:
        """Raises ValueError for what is not UTF-8, or an endless line."""
        *lines, self._rest = (self._rest + content).replace(b"\r\n", b"\n").split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError("an event without end")
        events = []
        for line in lines:
            if (event := self._line(line.rstrip(b"\r").decode())) is not None:
                events.append(event)
        return events

    def _line(self, line: str) -> Event | None:
        if not line:
            event = Event(self._name, "\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None
