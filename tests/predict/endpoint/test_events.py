"""Server-sent events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.predict.endpoint.events import MAX_EVENT_BYTES, Event, EventParser

STREAM = ': hello\r\nevent: delta\r\ndata: {"a": "ü"}\r\n\r\ndata: one\ndata: two\n\nid: 3\n\ndata:[DONE]\n\n'
EVENTS = [Event("delta", '{"a": "ü"}'), Event("", "one\ntwo"), Event("", "[DONE]")]


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=6))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    """However the bytes are cut, the events are the same."""
    content, parser, found, last = STREAM.encode(), EventParser(), [], 0
    for cut in [*sorted(cuts), len(content)]:
        found += parser.feed(content[last:cut])
        last = cut
    assert found == EVENTS


def test_unfinished_event_is_not_given() -> None:
    """An event counts when its empty line is there."""
    assert EventParser().feed(b"data: half\n") == []


def test_endless_line_is_refused() -> None:
    """Memory stays bounded, and bytes that are no text are an error."""
    parser = EventParser()
    with pytest.raises(ValueError, match="without end"):
        parser.feed(b"data: " + bytes(MAX_EVENT_BYTES))
    with pytest.raises(UnicodeDecodeError):
        EventParser().feed(b"data: \xff\n\n")
