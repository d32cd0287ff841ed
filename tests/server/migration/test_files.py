"""Files of examples and of rows for evals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server.migration import exports

from nanosmith.core.watch import Watch
from nanosmith.server.http.errors import QuotaExceeded
from nanosmith.server.migration.plan import Item, Plan
from nanosmith.server.services import Services
from nanosmith.store.records import ProjectRow
from nanosmith.testing import topic_rows, write_chat


def test_examples(item_of: Callable[..., Item], tmp_path: Path) -> None:
    """A training file is told with its examples and task, and becomes a file for fine-tuning."""
    item = item_of(write_chat(tmp_path / "any.name", topic_rows(30)))
    assert item.what == "any.name: 30 chat examples, task choice, 3 labels"
    assert (item.state, item.becomes) == ("ready", "file (purpose fine-tune)")


def test_stored_as_uploads_are(plan_of: Callable[..., Plan], here: Services, tmp_path: Path) -> None:
    """The row and the bytes are there, once, also when the file comes twice and is imported twice."""
    path = write_chat(tmp_path / "train.jsonl", topic_rows(30))
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(path.read_bytes())
    plan = plan_of(path, copy)
    plan.make(here, Watch())
    assert [item.state for item in plan.items] == ["done", "done"]
    (row,) = here.ledger.files()
    assert (row.purpose, row.filename, row.bytes) == ("fine-tune", "train.jsonl", path.stat().st_size)
    assert here.blobs.path(row.sha256).read_bytes() == path.read_bytes()
    again = plan_of(path)
    assert [(item.state, item.made) for item in again.items] == [("done", [row.id])]


def test_a_deleted_file_can_be_imported_again(plan_of: Callable[..., Plan], here: Services, tmp_path: Path) -> None:
    """What was deleted since is not called imported."""
    path = write_chat(tmp_path / "train.jsonl", topic_rows(30))
    plan_of(path).make(here, Watch())
    here.ledger.delete_file(here.ledger.files()[0].id)
    assert plan_of(path).items[0].state == "ready"


def test_bad_lines_are_named(item_of: Callable[..., Item], tmp_path: Path) -> None:
    """Errors block the file, with the lines and what to do; the rest is counted."""
    path = write_chat(tmp_path / "bad.jsonl", topic_rows(30))
    path.write_text(path.read_text() + 'oops\n{"messages": []}\n')
    item = item_of(path)
    assert item.state == "blocked"
    assert "line 31: not JSON" in str(item.why)
    assert "line 32: `messages` is a list" in str(item.why)


def test_other_formats_are_refused(item_of: Callable[..., Item], tmp_path: Path) -> None:
    """Lines of another training method are blocked, in words."""
    item = item_of(exports.save_lines(tmp_path / "dpo.jsonl", [{"input": {}, "preferred_output": []}]))
    assert item.state == "blocked"
    assert "DPO" in str(item.why)


def test_rows_for_evals(item_of: Callable[..., Item], tmp_path: Path) -> None:
    """Rows become a file for evals; one that is not a row blocks it."""
    rows = [{"item": {"label": "a"}}, {"item": {"label": "b"}}]
    item = item_of(exports.save_lines(tmp_path / "rows.jsonl", rows))
    assert (item.what, item.becomes) == ("rows.jsonl: 2 rows for evals", "file (purpose evals)")
    item = item_of(exports.save_lines(tmp_path / "wrong.jsonl", [*rows, {"label": "a"}]))
    assert (item.state, str(item.why)[:19]) == ("blocked", "row 3 has no item. ")


def test_quota(plan_of: Callable[..., Plan], here: Services, tmp_path: Path) -> None:
    """A project's storage limit stops the import, and leaves no bytes behind."""
    here.ledger.add(ProjectRow("default", "default", 0, {"storage_bytes": 100}))
    plan = plan_of(write_chat(tmp_path / "train.jsonl", topic_rows(30)))
    with pytest.raises(QuotaExceeded):
        plan.make(here, Watch())
    assert here.ledger.files() == []
    assert not [path for path in here.home.blobs.rglob("*") if path.is_file()]


def test_another_import_at_the_same_moment(
    plan_of: Callable[..., Plan], here: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that another process adds between our look and our write is taken for ours."""
    path = write_chat(tmp_path / "train.jsonl", topic_rows(30))
    plan_of(path).make(here, Watch())
    look = here.ledger.file
    answers = iter([None, None])  # of the plan, and just before the write
    monkeypatch.setattr(here.ledger, "file", lambda id: next(answers, look(id)))
    plan = plan_of(path)
    assert plan.items[0].state == "ready"
    plan.make(here, Watch())
    assert plan.items[0].state == "done"
    assert len(here.ledger.files()) == 1
