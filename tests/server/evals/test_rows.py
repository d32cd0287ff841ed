"""The rows of an eval run: stored completions while others are deleted, and what an earlier attempt has graded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from nanosmith.data import completions
from nanosmith.server.evals.rows import Row, rows_of
from nanosmith.server.evals.run_request import FileContent, Source, Stored
from nanosmith.server.evals.run_request import Row as Given
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.records import Document


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(open_ledger(home)) as opened:
        yield opened


def store(ledger: Ledger, *numbers: int) -> None:
    for number in numbers:
        choice = {"message": {"content": f"answer {number}"}}
        body = {"completion": {"model": "tiny", "choices": [choice]}, "messages": [{"role": "user", "content": None}]}
        ledger.add(Document(completions.KIND, f"chatcmpl-{number}", 1000 + number, body, model="tiny"))


def rows(
    ledger: Ledger, home: Home, source: Source, *done_ids: str, schema: Any = True, done: int = 0
) -> Iterator[Row]:
    return rows_of(ledger, home, source, schema, done=done or len(done_ids), done_ids=lambda: done_ids)


def test_each_completion_is_given_once_while_others_are_deleted(
    ledger: Ledger, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that a page ends with may go before the next page is read."""
    monkeypatch.setattr(completions, "PAGE", 2)
    store(ledger, *range(6))
    given = rows(ledger, home, Stored())
    found = [next(given).source_id, next(given).source_id]
    ledger.delete_document(completions.KIND, "chatcmpl-1")
    found += [row.source_id for row in given]
    assert found == [f"chatcmpl-{number}" for number in range(6)]


def test_completions_that_were_graded_are_left_out(ledger: Ledger, home: Home) -> None:
    """They count for the limit, and the numbers of the rows go on."""
    store(ledger, *range(5))
    given = list(rows(ledger, home, Stored(limit=4), "chatcmpl-0", "chatcmpl-2"))
    assert [(row.number, row.source_id) for row in given] == [(2, "chatcmpl-1"), (3, "chatcmpl-3")]
    assert given[0].sample == {"output_text": "answer 1"}
    assert given[0].item["input"] == [{"role": "user", "content": ""}]


def test_the_time_of_completions(ledger: Ledger, home: Home) -> None:
    """Both ends count as within."""
    store(ledger, *range(5))
    given = rows(ledger, home, Stored(created_after=1001, created_before=1003))
    assert [row.source_id for row in given] == ["chatcmpl-1", "chatcmpl-2", "chatcmpl-3"]


def test_rows_that_were_graded_are_left_out(ledger: Ledger, home: Home) -> None:
    """Of rows in their order, those below the first `done`."""
    content = FileContent([Given({"a": number}) for number in range(4)])
    assert [(row.number, row.item) for row in rows(ledger, home, content, done=2)] == [(2, {"a": 2}), (3, {"a": 3})]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "object", "required": ["b"]}, "there is no `b`"),
        ({"properties": {"a": {"type": "string"}}}, "`a` is not as it says"),
        ({"properties": {"a": {"$ref": "#/$defs/text"}}, "$defs": {"text": {"type": "string"}}}, "`a` is not"),
        ({"type": "array"}, "another type"),
        ({"properties": {}, "additionalProperties": False}, "not allowed"),
        ({"properties": {"a": {"type": "integer", "multipleOf": 2}}}, None),
        ({"properties": {"a": {"type": "integer"}}}, None),
        (True, None),
    ],
)
def test_items_that_do_not_fit(ledger: Ledger, home: Home, schema: Any, words: str | None) -> None:
    """The problem names the field; a schema with keywords that are not known forbids nothing."""
    (row,) = rows(ledger, home, FileContent([Given({"a": 3})]), schema=schema)
    assert (row.problem is None) == (words is None)
    assert words is None or words in str(row.problem)


@pytest.mark.parametrize("depth", [200, 900, 960])
def test_a_row_that_is_nested_too_deeply(ledger: Ledger, home: Home, depth: int) -> None:
    """It could be read, but not be kept."""
    item: dict[str, Any] = {}
    for _ in range(depth):
        item = {"a": item}
    (row,) = rows(ledger, home, FileContent([Given(item)]))
    assert row.item == {}
    assert "too deeply" in str(row.problem)
