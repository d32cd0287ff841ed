"""Stored completions of a vendor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.server.migration import exports
from tests.server.migration.exports import COMPLETION

from nanosmith.core.watch import Watch
from nanosmith.data.completions import KIND
from nanosmith.server.migration.plan import Item, Plan
from nanosmith.server.services import Services


def test_with_messages(plan_of: Callable[..., Plan], here: Services, tmp_path: Path) -> None:
    """Completions and the pages of their messages become stored completions and one training file."""
    completions = exports.save(tmp_path / "c.json", exports.page([exports.completion(i) for i in range(3)]))
    pages = [exports.page(exports.messages(i, f"question {i}")) for i in range(3)]
    plan = plan_of(completions, exports.save(tmp_path / "messages.json", pages))
    (item,) = plan.items
    assert (item.what, item.state) == ("3 stored completions", "ready")
    assert item.becomes == "stored completions, and a file with 3 training examples"
    plan.make(here, Watch())
    rows = here.ledger.documents(KIND, newest_first=False)
    assert [row.id for row in rows] == [f"{COMPLETION}{i}" for i in range(3)]
    assert (rows[0].created_at, rows[0].model, rows[0].metadata) == (
        1738960610, "gpt-4o-2024-08-06", {"usecase": "support"},
    )  # fmt: skip
    (file,) = here.ledger.files()
    assert item.made == [file.id]
    first = json.loads(here.blobs.path(file.sha256).read_text().splitlines()[0])
    assert [(turn["role"], turn["content"]) for turn in first["messages"]] == [
        ("system", "Name the topic."), ("user", "question 0"), ("assistant", "refund"),
    ]  # fmt: skip


def test_imported_once(plan_of: Callable[..., Plan], here: Services, tmp_path: Path) -> None:
    """A second import makes nothing; new completions beside the old ones are added."""
    path = exports.save_lines(
        tmp_path / "all.jsonl",
        [{"completion": exports.completion(i), "messages": exports.messages(i)} for i in range(3)],
    )
    plan_of(path).make(here, Watch())
    again = plan_of(path)
    assert (again.items[0].state, len(again.items[0].made)) == ("done", 1)
    more = exports.save(tmp_path / "more.json", exports.completion(7))
    plan_of(path, more).make(here, Watch())
    assert here.ledger.count_documents(KIND) == 4
    assert len(here.ledger.files()) == 1


def test_without_messages(item_of: Callable[..., Item], here: Services, tmp_path: Path) -> None:
    """Without their messages completions are kept, but are no training examples, and the plan says so."""
    item = item_of(exports.save(tmp_path / "c.json", exports.page([exports.completion(i) for i in range(2)])))
    assert item.becomes == "stored completions"
    assert item.notes == [
        "2 are no training examples: their messages are not in these files "
        "(export them: GET /chat/completions/{id}/messages)"
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": 3}, "Expected `str`, got `int`"),
        ({"created": "yesterday"}, "Expected `int`, got `str`"),
        ({"choices": []}, "Expected `array` of length >= 1"),
        ({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "user"}}]}, "Invalid enum value"),
        ({"metadata": {"a": "x" * 513}}, "length <= 512"),
        ({"messages": "hello"}, "Expected `array`, got `str`"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "image_url"),
        ({"system_fingerprint": "x" * 1024**2}, "it is too large"),
    ],
)
def test_refused(item_of: Callable[..., Item], tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    """What is no completion that we could show again is not kept, and the plan says why."""
    item = item_of(exports.save(tmp_path / "c.json", exports.completion(**changes)))
    assert item.state == "blocked"
    assert why in str(item.why)
    assert str(item.why).startswith("1 cannot be kept: ")


def test_good_beside_bad(plan_of: Callable[..., Plan], here: Services, tmp_path: Path) -> None:
    """The others are kept."""
    records = [exports.completion(0), exports.completion(1, created=None), exports.completion(2, answer=None)]
    plan = plan_of(exports.save(tmp_path / "c.json", records))
    assert plan.items[0].what == "2 stored completions"
    assert plan.items[0].notes[0].startswith("1 cannot be kept: it is no chat completion")
    plan.make(here, Watch())
    assert here.ledger.count_documents(KIND) == 2


def test_another_import_at_the_same_moment(
    plan_of: Callable[..., Plan], here: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another process adds one of them between our look and our write, all are there in the end, once."""
    plan_of(exports.save(tmp_path / "one.json", exports.completion(1))).make(here, Watch())
    plan = plan_of(exports.save(tmp_path / "all.json", [exports.completion(i) for i in range(3)]))
    look = here.ledger.document
    blind = iter([None] * 3)
    monkeypatch.setattr(here.ledger, "document", lambda kind, id: next(blind, look(kind, id)))
    plan.make(here, Watch())
    assert here.ledger.count_documents(KIND) == 3
