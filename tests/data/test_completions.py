"""Stored completions as lines of the chat format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.data.completions import KIND, Exported, stored_completions, training_line, training_lines
from nanosmith.data.readers.chat import ROLES, read
from nanosmith.data.reading import BadLine
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.records import Document

texts = st.one_of(st.none(), st.text(max_size=5), st.sampled_from([" ", "hello", "\n"]))
messages = st.lists(st.fixed_dictionaries({"role": st.sampled_from(ROLES), "content": texts}), max_size=5)


def body_of(messages: list[dict[str, Any]], answer: str | None = "refund") -> dict[str, Any]:
    return {"completion": {"choices": [{"message": {"content": answer}}]}, "messages": messages}


def stored(i: int, **columns: Any) -> Document:
    return Document(KIND, f"chatcmpl-{i}", 0, body_of([{"role": "user", "content": f"text {i}"}]), **columns)


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(open_ledger(home)) as ledger:
        yield ledger


def test_only_the_last_answer_is_learnt() -> None:
    """What the assistant said before is context with weight 0, empty where it was a tool call."""
    turns = [("system", "s"), ("user", "a"), ("assistant", None), ("tool", "t"), ("user", "b")]
    line = training_line(body_of([{"role": role, "content": content, "id": "x"} for role, content in turns]))
    assert msgspec.json.decode(line)["messages"] == [
        {"role": "system", "content": "s"}, {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "weight": 0}, {"role": "tool", "content": "t"},
        {"role": "user", "content": "b"}, {"role": "assistant", "content": "refund"},
    ]  # fmt: skip
    assert line.endswith(b"}\n")


@pytest.mark.parametrize(
    ("turns", "answer", "code"),
    [
        ([("user", " ")], "x", "empty_text"), ([("system", "s")], "x", "no_user"),
        ([("user", "a")], "", "empty_answer"), ([("user", "a")], None, "bad_content"),
        ([("user", "a")] * 1000, "x", "many_messages"),
    ],
)  # fmt: skip
def test_what_is_no_example_is_refused(turns: list[tuple[str, str]], answer: str | None, code: str) -> None:
    """The reasons are those that the reader of training files has."""
    with pytest.raises(BadLine) as caught:
        training_line(body_of([{"role": role, "content": content} for role, content in turns], answer))
    assert caught.value.code == code


@given(st.lists(st.tuples(messages, texts), max_size=6))
def test_every_line_is_accepted(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    """Whatever was stored, each line that is written is one example for the reader, and none is a problem."""
    found = (Document(KIND, str(i), 0, body_of(given, answer)) for i, (given, answer) in enumerate(rows))
    exported = Exported()
    path = tmp_path_factory.mktemp("export") / "file.jsonl"
    path.write_bytes(b"".join(training_lines(found, exported)))
    assert exported.lines + exported.skipped.total() == len(rows)
    assert exported.last_id == (str(len(rows) - 1) if rows else None)
    if exported.lines:
        reading = read(path)
        assert reading.problems == []
        assert len(reading.examples) == exported.lines


def test_calls() -> None:
    """A call is the answer, with the functions that were offered; earlier calls stay, with weight 0."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    given = [
        {"role": "user", "content": "one"}, {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": "two"},
    ]  # fmt: skip
    body = body_of(given, None)
    body["completion"]["choices"][0]["message"]["tool_calls"] = [call]
    line = msgspec.json.decode(training_line(body | {"completion": body["completion"] | {"tools": tools}}))
    assert [turn.get("tool_calls") for turn in line["messages"]] == [None, [call], None, [call]]
    assert [turn.get("weight") for turn in line["messages"]] == [None, 0, None, None]
    assert line["tools"] == tools


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 250])
def test_pages_are_joined(ledger: Ledger, count: int) -> None:
    """All completions come, oldest first, however many pages there are; a limit ends them anywhere."""
    ledger.add(*(stored(i) for i in range(count)))
    ids = [f"chatcmpl-{i}" for i in range(count)]
    assert [one.id for one in stored_completions(ledger)] == ids
    for limit in (1, 100, 101, 300):
        assert [one.id for one in stored_completions(ledger, limit=limit)] == ids[:limit]


def test_filters(ledger: Ledger) -> None:
    """By model, by metadata, and after a completion."""
    ledger.add(*(stored(i, model="ab"[i % 2], metadata={"i": str(i // 2)}) for i in range(6)))
    assert [one.id for one in stored_completions(ledger, model="b")] == ["chatcmpl-1", "chatcmpl-3", "chatcmpl-5"]
    assert [one.id for one in stored_completions(ledger, metadata={"i": "1"})] == ["chatcmpl-2", "chatcmpl-3"]
    assert [one.id for one in stored_completions(ledger, after="chatcmpl-3")] == ["chatcmpl-4", "chatcmpl-5"]
