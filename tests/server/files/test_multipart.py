"""Multipart bodies as events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.errors import InputError
from nanosmith.server.files.multipart import Part, boundary_of, events

BODY = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a \xc3\xa9.jsonl"\r\n'
    b"Content-Type: text/plain\r\n\r\nline\r\n--not the end\r\n\r\n--b--\r\n"
)


def joined(chunks: Iterable[bytes]) -> list[object]:
    """Events, with the data of each part in one piece."""
    found: list[object] = []
    for event in events(chunks, b"b"):
        if isinstance(event, bytes) and isinstance(found[-1], bytes):
            found[-1] += event
        else:
            found.append(event)
    return found


@given(st.lists(st.integers(0, len(BODY)), max_size=20))
def test_chunks_may_end_anywhere(cuts: list[int]) -> None:
    """However a body is cut into chunks, the same parts come out."""
    ends = [0, *sorted(cuts), len(BODY)]
    assert joined(BODY[a:b] for a, b in pairwise(ends)) == [
        Part("purpose", None), b"fine-tune", "end", Part("file", "a é.jsonl"), b"line\r\n--not the end\r\n", "end",
    ]  # fmt: skip


@pytest.mark.parametrize("length", range(0, len(BODY) - 4, 7))
def test_a_cut_body_is_refused(length: int) -> None:
    """A body that ends before its closing boundary is never taken for whole."""
    with pytest.raises(InputError):
        joined([BODY[:length]])


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    """Whatever comes, the result is events or an InputError."""
    with contextlib.suppress(InputError):
        joined([b"--b\r\n" + body])


def test_too_many_parts() -> None:
    """A form with very many parts is refused."""
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
    with pytest.raises(InputError, match="too many parts"):
        joined([part * 33])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=b", b"b"), ('multipart/form-data; boundary="a b"', b"a b"),
        ("multipart/form-data", None), ("application/json", None), ("", None),
    ],
)  # fmt: skip
def test_boundaries(content_type: str, boundary: bytes | None) -> None:
    """The boundary is read from the content type of a form."""
    assert boundary_of(content_type) == boundary
