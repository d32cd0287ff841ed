"""Projects see nothing of each other, in each database; each method of the ledger is tried."""

from __future__ import annotations

import inspect

import pytest
from tests.store import ledger_rows
from tests.store.ledger_rows import KIND, contents, document

from nanosmith.store.ledger import PERMISSION, Ledger, UnknownCursor


def test_every_method_is_tried() -> None:
    """A new method of the ledger needs a call in tests/store/ledger_rows.py: these tests then hold for it too."""
    methods = {name for name, _ in inspect.getmembers(Ledger, inspect.isfunction) if not name.startswith("_")}
    tried = [name for calls in ledger_rows.ALL for name in calls]
    assert sorted([*tried, *ledger_rows.OTHERS]) == sorted(methods)


def test_reads_see_their_own_project(ledger: Ledger) -> None:
    """Each reading method finds the rows of its project, and of another project's rows nothing, also by their ids."""
    a, b = ledger.of("a"), ledger.of("b")
    ledger_rows.fill(a, "a")
    a.add(document("permission", kind=PERMISSION, parent="model-a", metadata={"project_id": "a"}))
    for name, read in ledger_rows.READS.items():
        assert read(a, "a"), name
        assert not read(b, "a"), name


def test_reads_of_all_projects(ledger: Ledger) -> None:
    """What workers and administrators see: the same from every project."""
    ledger_rows.fill(ledger.of("a"), "a")
    for name, read in ledger_rows.READS_OF_ALL_PROJECTS.items():
        assert read(ledger.of("a"), "a"), name
        assert read(ledger.of("b"), "a") == read(ledger.of("a"), "a"), name


@pytest.mark.parametrize("name", ledger_rows.WRITES)
def test_writes_change_their_own_project(ledger: Ledger, name: str) -> None:
    """Each writing method, called with the ids of another project, changes nothing there; called with its own, it
    changes what is its own."""
    a, b = ledger.of("a"), ledger.of("b")
    for project, tag in ((a, "a"), (b, "b")):
        ledger_rows.fill(project, tag)
    a.update_job("job-a", status="paused" if name == "resume_job" else "queued", end=name == "resume_job")
    before = contents(ledger, "a")
    ledger_rows.WRITES[name](b, "a")
    assert contents(ledger, "a") == before
    ledger_rows.WRITES[name](a, "a")
    assert contents(ledger, "a") != before


def test_lists_by_a_cursor_of_another_project(ledger: Ledger) -> None:
    """The id of another project's row is no place in a list."""
    ledger_rows.fill(ledger.of("a"), "a")
    b = ledger.of("b")
    for page in (b.files, b.jobs):
        with pytest.raises(UnknownCursor):
            page(after=f"{page.__name__.removesuffix('s')}-a")
    with pytest.raises(UnknownCursor):
        b.documents(KIND, after="document-a")


def test_equal_ids_in_two_projects(ledger: Ledger) -> None:
    """A document's id and a model's name may be the same in two projects; each sees and changes its own."""
    for project in ("a", "b"):
        ledger.of(project).add(document("x", status=project, kind="idempotency"))
    ledger.of("a").update_document("idempotency", "x", status="changed")
    assert ledger.of("b").delete_document("idempotency", "x")
    found = ledger.of("a").document("idempotency", "x")
    assert found is not None
    assert (found.status, found.project) == ("changed", "a")
