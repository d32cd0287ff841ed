"""The input file of a batch: which lines are refused, and how the others are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.errors import Cancelled
from nanosmith.jobs.batches import input as batch_input
from nanosmith.jobs.batches.input import Checked, check, lines

URL = "/v1/chat/completions"
GOOD = {"custom_id": "a", "method": "POST", "url": URL, "body": {"model": "tiny"}}


def checked(path: Path, *found: object) -> Checked:
    """A file of these lines (JSON unless they are text), checked."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in found)
    path.write_text(text + "\n", encoding="utf-8", newline="")
    return check(path, URL, lambda: False)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        ("not json", "invalid_json_line", None),
        ('{"custom_id": NaN}', "invalid_json_line", None),
        ("[1]", "invalid_json_line", None),
        ("[" * 10_000, "invalid_json_line", None),
        (without("custom_id"), "missing_required_parameter", "custom_id"),
        (without("method"), "missing_required_parameter", "method"),
        (without("url"), "missing_required_parameter", "url"),
        (without("body"), "missing_required_parameter", "body"),
        (GOOD | {"custom_id": 7}, "invalid_type", "custom_id"),
        (GOOD | {"body": "text"}, "invalid_type", "body"),
        (GOOD | {"body": None}, "invalid_type", "body"),
        (GOOD | {"method": "GET"}, "invalid_method", "method"),
        (GOOD | {"url": "/v1/embeddings"}, "invalid_url", "url"),
    ],
)
def test_a_bad_line(tmp_path: Path, line: object, code: str, param: str | None) -> None:
    """A line that cannot be used is named with its number, a code and the field."""
    found = checked(tmp_path / "in.jsonl", GOOD | {"custom_id": "first"}, "", line)
    assert [(one.line, one.code, one.param) for one in found.problems] == [(3, code, param)]
    assert found.requests == 2


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    """Not only the first; a repeated id names the line that had it."""
    found = checked(tmp_path / "in.jsonl", GOOD, "x", GOOD, "y", GOOD | {"url": "/v1/x"})
    assert [one.line for one in found.problems] == [2, 3, 4, 5]
    assert found.problems[1].code == "duplicate_custom_id"
    assert "line 1" in found.problems[1].message


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a bad line, not a failure of the file."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\xfe\n")
    found = check(path, URL, lambda: False)
    assert [(one.line, one.code) for one in found.problems] == [(2, "invalid_json_line")]


def test_a_file_without_requests(tmp_path: Path) -> None:
    """Blank lines alone are no batch."""
    assert [one.code for one in checked(tmp_path / "in.jsonl", "", "  ").problems] == ["empty_file"]


def test_too_many_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading stops at the first request too many, and says where."""
    monkeypatch.setattr(batch_input, "MAX_BATCH_REQUESTS", 2)
    found = checked(tmp_path / "in.jsonl", *(GOOD | {"custom_id": str(i)} for i in range(5)))
    assert [(one.line, one.code) for one in found.problems] == [(3, "too_many_requests")]


def test_the_model_of_a_batch(tmp_path: Path) -> None:
    """It is named where all requests name the same, and only there."""
    other = {"custom_id": "b", "body": {"model": "stars"}}
    assert checked(tmp_path / "one.jsonl", GOOD, GOOD | other | {"body": GOOD["body"]}).model == "tiny"
    assert checked(tmp_path / "two.jsonl", GOOD, GOOD | other).model is None


def test_checking_can_be_stopped(tmp_path: Path) -> None:
    """A cancelled batch does not read its file to the end."""
    path = tmp_path / "in.jsonl"
    checked(path, GOOD)
    with pytest.raises(Cancelled):
        check(path, URL, lambda: True)


bodies = st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.booleans()), max_size=3)
requests = st.tuples(st.text(), bodies)


@given(rows=st.lists(requests, unique_by=lambda row: row[0], min_size=1), after=st.integers(0, 3), blank=st.booleans())
def test_lines_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, dict[str, Any]]], after: int, blank: bool
) -> None:
    """A good file has no problem; ids and bodies come back unchanged, below the line that was asked for."""
    path = tmp_path_factory.mktemp("rows") / "in.jsonl"
    written = [GOOD | {"custom_id": id, "body": body} for id, body in rows]
    between = [""] if blank else []
    found = checked(path, *(part for row in written for part in (row, *between)))
    assert (found.problems, found.requests) == ([], len(rows))
    step = 2 if blank else 1
    wanted = [(1 + i * step, row["custom_id"], row["body"]) for i, row in enumerate(written)]
    read = [(line.number, line.custom_id, json.loads(line.body)) for line in lines(path, after=after)]
    assert read == [one for one in wanted if one[0] > after]
