"""Rows and lists of the ledger, in each database."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store import ledger_rows
from tests.store.ledger_rows import KIND, document, file, job

from nanosmith.core.errors import InputError
from nanosmith.store.home import DATABASE_VARIABLE, open_home
from nanosmith.store.ledger import LeaseLost, Ledger, UnknownCursor, new_event, new_id, open_ledger
from nanosmith.store.records import CheckpointRow, Document, ModelRow, Work

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
SAME_LEDGER = settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)  # the ledger of all examples is one


def test_rows_come_back(database: Path | str) -> None:
    """Every kind of row, with all columns set, is the same after the database was closed and opened."""
    first = Ledger(database, "a")
    ledger_rows.fill(first, "a")
    first.close()
    again = Ledger(database, "a")
    found = [
        again.file("file-a"), again.job("job-a"), *again.checkpoints("job-a"), again.model("model-a"),
        again.document(KIND, "document-a"), again.document("child", "child-a"), again.work("job-a"),
        again.work("document-a"), again.project_row("project-a"), again.key_by_sha256("sha-a"),
    ]  # fmt: skip
    [event] = again.events("job-a")
    again.close()
    assert [plain(row) for row in found] == [plain(row) for row in ledger_rows.rows("a")]
    assert (event.job_id, event.message, event.level, event.type, event.data) == (
        "job-a",
        "event-a",
        "info",
        "message",
        None,
    )


def plain(row: Any) -> Any:
    """A row without what the ledger gave it."""
    given: dict[str, Any] = {"seq": 0}
    if isinstance(row, Document | Work):
        given["project"] = ""
    return msgspec.structs.replace(row, **given)


def test_unknown_names(ledger: Ledger) -> None:
    """What is not there is None or False, never an error."""
    assert (ledger.file("x"), ledger.job("x"), ledger.model("x")) == (None, None, None)
    assert (ledger.delete_file("x"), ledger.delete_model("x")) == (False, False)
    assert ledger.update_job("x", status="failed") is None
    assert (ledger.document(KIND, "x"), ledger.work("x"), ledger.key_by_sha256("x")) == (None, None, None)
    assert (ledger.delete_document(KIND, "x"), ledger.delete_key("x")) == (False, False)
    assert (ledger.stored_bytes(), ledger.count_documents(KIND), ledger.blob_is_used("x")) == (0, 0, False)


def test_names_are_unique(ledger: Ledger) -> None:
    """Within a project, a model's name and a document's id can be given once."""
    for row in (ModelRow("ft:x", 1, "folder", "d", "b"), document("x")):
        ledger.add(row)
        with pytest.raises(sa.exc.IntegrityError):
            ledger.add(row)
        ledger.of("another").add(row)


def test_models_newest_first_and_deleted(ledger: Ledger) -> None:
    """The list follows insertion; update and delete touch the named one alone."""
    for name in "abc":
        ledger.add_model(ModelRow(name, 1, name, "d", "b"))
    ledger.update_model("a", job_id="ftjob-1")
    assert ledger.delete_model("b")
    assert [(row.name, row.job_id) for row in ledger.models()] == [("c", None), ("a", "ftjob-1")]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_ended_jobs_do_not_change(ledger: Ledger, status: str) -> None:
    """The end of a job is final, also for its events of the same transaction."""
    ledger.add_job(job())
    ended = ledger.update_job("ftjob-1", status=status)
    assert ended is not None
    said = [new_event("ftjob-1", "too late")]
    assert ledger.update_job("ftjob-1", also=said, status="queued") is None
    assert ledger.job("ftjob-1") == ended
    assert ledger.events("ftjob-1") == []


def test_update_with_conditions(ledger: Ledger) -> None:
    """A change happens where all columns are as expected: None included, and any of a list."""
    ledger.add_job(job())
    assert ledger.update_job("ftjob-1", expect={"suffix": "s"}, seed=2) is None
    assert ledger.update_job("ftjob-1", expect={"suffix": None, "status": ["queued", "paused"]}, seed=2) is None
    said = [new_event("ftjob-1", "taken")]
    changed = ledger.update_job(
        "ftjob-1", expect={"suffix": None, "status": ["queued", "validating_files"]}, also=said, seed=2
    )
    assert changed is not None
    assert changed.seed == 2
    assert [event.message for event in ledger.events("ftjob-1")] == ["taken"]


def test_update_of_documents(ledger: Ledger) -> None:
    """As of jobs: where columns are as expected, with other rows, and with its work at its end."""
    ledger.add(document("x", status="open"), Work("x", KIND))
    unlike: Any = {"expect": {"status": ["new", "old"]}, "also": [file("file-1")], "end": True}
    assert ledger.update_document(KIND, "x", **unlike, model="m") is None
    assert (ledger.file("file-1"), ledger.work("x") is None) == (None, False)
    changed = ledger.update_document(
        KIND, "x", expect={"status": ("open",), "parent": None}, also=[file("file-1")], end=True, status="done",
        body={"a": [1, None]},
    )  # fmt: skip
    assert changed is not None
    assert (changed.status, changed.body) == ("done", {"a": [1, None]})
    assert (ledger.file("file-1") is None, ledger.work("x")) == (False, None)


def test_transaction_is_whole(ledger: Ledger) -> None:
    """When an event cannot be stored, the change of the row is not kept either."""
    ledger.add_job(job())
    twice = new_event("ftjob-1", "once")
    with pytest.raises(sa.exc.IntegrityError):
        ledger.update_job("ftjob-1", also=[twice, twice], status="queued")
    row = ledger.job("ftjob-1")
    assert row is not None
    assert row.status == "validating_files"
    assert ledger.events("ftjob-1") == []


@given(stored=st.lists(st.dictionaries(TEXTS, TEXTS, max_size=3), min_size=1, max_size=3), asked=st.data())
@SAME_LEDGER
def test_metadata_filter(ledger: Ledger, stored: list[dict[str, str]], asked: st.DataObject) -> None:
    """A job is found by any part of its metadata, whatever characters keys and values have, and by nothing else."""
    ids = [new_id("ftjob-") for _ in stored]
    for id, pairs in zip(ids, stored):
        ledger.add_job(job(id, metadata=pairs))
    whole = asked.draw(st.sampled_from(stored))
    part = dict(asked.draw(st.lists(st.sampled_from(sorted(whole.items())), max_size=2))) if whole else {}
    wanted = {id for id, pairs in zip(ids, stored) if part.items() <= pairs.items()}
    assert {row.id for row in ledger.jobs(metadata=part, limit=10_000)} & set(ids) == wanted
    ledger.add(*(document(id, metadata=pairs) for id, pairs in zip(ids, stored)))
    assert {row.id for row in ledger.documents(KIND, metadata=part, limit=10_000)} & set(ids) == wanted


@pytest.mark.parametrize("text", ['"', "a.b", "$.x", "[0]", "\\", "'", "\x1f", "%", "β", " ", "k': '"])
def test_metadata_with_odd_characters(ledger: Ledger, text: str) -> None:
    """Quotes, dots and brackets in keys are not taken for a path."""
    ledger.add_job(job("odd", metadata={text: text, "other": "x"}))
    ledger.add_job(job("plain", metadata={"other": text}))
    assert [row.id for row in ledger.jobs(metadata={text: text})] == ["odd"]
    assert [row.id for row in ledger.jobs(metadata={"other": text})] == ["plain"]


def test_jobs_without_metadata(ledger: Ledger) -> None:
    """`metadata=null` in a query finds the jobs that have none, also those that lost theirs."""
    for id, metadata in (("a", {"k": "v"}), ("b", {"k": "v"}), ("c", None), ("d", {})):
        ledger.add_job(job(id, metadata=metadata))
    ledger.update_job("a", metadata=None)
    assert [row.id for row in ledger.jobs(without_metadata=True)] == ["c", "a"]


@given(count=st.integers(0, 12), limit=st.integers(1, 14), newest_first=st.booleans(), odd=st.booleans())
@SAME_LEDGER
def test_pages_make_up_the_list(ledger: Ledger, count: int, limit: int, newest_first: bool, odd: bool) -> None:
    """Following `after` until has_more is False gives every row once, in order; also with a filter."""
    kind = f"of {count}"
    if not ledger.count_documents(kind):
        statuses = ("even", "odd")
        ledger.add(*(document(f"id-{i}", kind=kind, status=statuses[i % 2]) for i in range(count)))
    wanted = [f"id-{i}" for i in range(count) if not odd or i % 2]
    seen: list[str] = []
    while True:
        page = ledger.documents(
            kind, status="odd" if odd else None, after=seen[-1] if seen else None, limit=limit,
            newest_first=newest_first,
        )  # fmt: skip
        seen += [row.id for row in page]
        assert page.has_more == (len(seen) < len(wanted))
        if not page.has_more:
            break
        assert len(page) == limit
    assert seen == (wanted[::-1] if newest_first else wanted)


def test_files_of_one_purpose(ledger: Ledger) -> None:
    """Page by page, in both directions."""
    for i in range(5):
        ledger.add_file(file(f"file-{i}", purpose="odd" if i % 2 else "even"))
    newest = ledger.files(purpose="even", limit=2)
    assert ([row.id for row in newest], newest.has_more) == (["file-4", "file-2"], True)
    oldest = ledger.files(purpose="even", after="file-0", limit=2, newest_first=False)
    assert ([row.id for row in oldest], oldest.has_more) == (["file-2", "file-4"], False)


def test_events_of_one_job(ledger: Ledger) -> None:
    """Newest first, page by page, without those of other jobs."""
    for i in range(5):
        ledger.add_event("a", str(i))
        ledger.add_event("b", "other")
    first = ledger.events("a", limit=3)
    assert [event.message for event in first] == ["4", "3", "2"]
    rest = ledger.events("a", after=first[-1].id, limit=3)
    assert ([event.message for event in rest], rest.has_more) == (["1", "0"], False)


def test_deleted_cursor(ledger: Ledger) -> None:
    """A cursor that names no row of the list is an error, not an endless list."""
    ledger.add(document("x"), new_event("other", "said"))
    with pytest.raises(UnknownCursor):
        ledger.files(after="file-gone")
    with pytest.raises(UnknownCursor):
        ledger.documents("another kind", after="x")
    with pytest.raises(UnknownCursor):
        ledger.events("job", after=ledger.events("other")[0].id)


def test_order_survives_deletion(ledger: Ledger) -> None:
    """A row added after the newest was deleted is still the newest."""
    for id in ("a", "b"):
        ledger.add_file(file(id))
    ledger.delete_file("b")
    ledger.add_file(file("c"))
    assert [row.id for row in ledger.files()] == ["c", "a"]


def test_checkpoints_of_a_job_are_deleted(ledger: Ledger) -> None:
    """Those of other jobs stay."""
    for id in ("a", "b"):
        ledger.add_checkpoint(CheckpointRow(f"ftckpt_{id}", id, 1, 1, f"m-{id}", {}))
    ledger.delete_checkpoints("a")
    assert (ledger.checkpoints("a"), len(ledger.checkpoints("b"))) == ([], 1)


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    """Eight threads write at once; nothing is lost."""
    threads = [threading.Thread(target=lambda: [ledger.add_event("j", "x") for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.events("j", limit=1000)) == 80


def test_ending_free_documents(ledger: Ledger) -> None:
    """A document whose work nobody has ends at once; one that somebody has, or that is not as expected, stays."""
    ledger.add(document("x", status="open"), Work("x", KIND))
    lease = ledger.claim("x", "a")
    assert lease is not None
    assert ledger.end_free_document(KIND, "x", status="done") is None
    ledger.release(lease)
    assert ledger.end_free_document(KIND, "x", expect={"status": "new"}, status="done") is None
    assert ledger.work("x") is not None
    ended = ledger.end_free_document(KIND, "x", expect={"status": "open"}, also=[file("file-1")], status="done")
    assert ended is not None
    assert (ended.status, ledger.work("x"), ledger.file("file-1") is None) == ("done", None, False)


def test_expired(ledger: Ledger) -> None:
    """What has reached its time, and not what has none."""
    for id, expires_at in (("a", None), ("b", 5), ("c", 6)):
        ledger.add(file(id, expires_at=expires_at), document(id, status=id, expires_at=expires_at))
    assert [row.id for row in ledger.expired_files(5)] == ["b"]
    assert [row.id for row in ledger.expired_documents(KIND, 6)] == ["b", "c"]
    assert [row.id for row in ledger.expired_documents(KIND, 6, status="c")] == ["c"]


def test_due(ledger: Ledger) -> None:
    """What waits and whose time has come, of all projects, the earliest first; some parents can be left out."""
    for id, project, at, status in (
        ("late", "default", 9, "waiting"), ("b", "default", 6, "waiting"), ("a", "other", 5, "waiting"),
        ("done", "default", 1, "done"),
    ):  # fmt: skip
        ledger.of(project).add(document(id, parent=f"of-{id}", status=status, expires_at=at))
    due = ledger.due_documents(KIND, 8, status="waiting")
    assert [(row.id, row.project) for row in due] == [("a", "other"), ("b", "default")]
    assert [row.id for row in ledger.due_documents(KIND, 8, status="waiting", besides=["of-a"])] == ["b"]
    assert [row.id for row in ledger.due_documents(KIND, 8, status="waiting", limit=1)] == ["a"]


def test_updated_without_children(ledger: Ledger) -> None:
    """Children go with a change of their parent, of the kinds that are named; nothing goes when nothing changes."""
    ledger.add(*(document(id, kind="run", parent=parent) for id, parent in (("r1", "x"), ("r2", "y"))))
    ledger.add(document("x", status="open"), document("note", kind="note", parent="x"))
    assert ledger.update_document(KIND, "x", expect={"status": "shut"}, drop=["run"], status="done") is None
    assert len(ledger.documents("run")) == 2
    assert ledger.update_document(KIND, "x", drop=["run"], status="done") is not None
    assert [row.id for row in ledger.documents("run")] == ["r2"]
    assert [row.id for row in ledger.documents("note")] == ["note"]


def test_deleted_with_children(ledger: Ledger) -> None:
    """A document's children go with it, of the kinds that are named; those of others stay."""
    ledger.add(*(document(id, kind="run", parent=parent) for id, parent in (("r1", "x"), ("r2", "y"))))
    ledger.add(document("x"), document("y"), document("note", kind="note", parent="x"))
    assert ledger.delete_document(KIND, "x", children=["run"])
    assert [row.id for row in ledger.documents("run")] == ["r2"]
    assert [row.id for row in ledger.documents("note")] == ["note"]
    assert [row.id for row in ledger.documents(KIND)] == ["y"]


def test_deleted_with_its_work(ledger: Ledger) -> None:
    """Whoever had the work of a deleted document can write nothing more."""
    ledger.add(document("x"), Work("x", KIND))
    lease = ledger.claim("x", "a")
    assert lease is not None
    assert ledger.delete_document(KIND, "x", end=True)
    assert ledger.open_work() == []
    with pytest.raises(LeaseLost):
        ledger.under(lease).add(file("late"))


def test_counts(ledger: Ledger) -> None:
    """Bytes of a project's files; documents by kind, parent and status; jobs by status."""
    for id in ("a", "b"):
        ledger.add(file(id), job(id), document(id, parent=id, status="open"))
    assert ledger.stored_bytes() == 4
    assert (ledger.count_documents(KIND), ledger.count_documents(KIND, parent="a", status="open")) == (2, 1)
    assert ledger.count_jobs() == {"validating_files": 2}


@pytest.mark.parametrize("number", [2**31, 2**53, 2**63 - 1])
def test_large_numbers(ledger: Ledger, number: int) -> None:
    """Sizes and times are kept with 64 bits."""
    ledger.add_file(file("x", expires_at=number))
    assert [row.expires_at for row in ledger.expired_files(number)] == [number]


@pytest.mark.parametrize("row", [file("x", expires_at=2**63), file("\ud800")])
def test_what_no_database_keeps(ledger: Ledger, row: Any) -> None:
    """A number over 64 bits and half a character are refused as the user's error; nothing is stored."""
    with pytest.raises(InputError, match="cannot keep this value"):
        ledger.add(row)
    assert ledger.files() == []


def test_nul_in_text(ledger: Ledger) -> None:
    """NUL comes back, or is refused as the user's error; it never breaks a list."""
    for pairs in ({"a\0": "b"}, {"a": "\0"}):
        with contextlib.suppress(InputError):
            ledger.add_job(job(new_id("ftjob-"), metadata=pairs))
        with contextlib.suppress(InputError):
            assert all(row.metadata == pairs for row in ledger.jobs(metadata=pairs))
    assert all("\0" in str(row.metadata) or "\\x00" in str(row.metadata) for row in ledger.jobs())


@pytest.mark.parametrize("where", ["mysql://host/name", "not a url", "", "sqlite+aiosqlite:///x"])
def test_other_databases(where: str) -> None:
    """What is not one of the two is refused, with what is allowed."""
    with pytest.raises(InputError, match=r"postgresql://… or sqlite:///FILE"):
        Ledger(where)


def test_odd_folder(tmp_path: Path) -> None:
    """A folder may have any name: it is not taken for parts of a URL."""
    folder = tmp_path / "a?b=c#d%20e"
    folder.mkdir()
    Ledger(folder / "l.sqlite").close()
    assert (folder / "l.sqlite").is_file()


def test_ledger_of_a_home(database: Path | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is that which the environment names, by default a file of the data folder."""
    if isinstance(database, str):
        monkeypatch.setenv(DATABASE_VARIABLE, database)
    home = open_home(tmp_path)
    ledger = open_ledger(home)
    ledger.add_file(file("x"))
    ledger.close()
    assert (tmp_path / "ledger.sqlite").exists() == isinstance(database, Path)
    there = Ledger(database)
    assert there.file("x") is not None
    there.close()


@given(st.sampled_from(["file-", "ftjob-", "ftckpt_"]))
def test_ids(prefix: str) -> None:
    """The documented prefix and 24 letters and digits."""
    made = new_id(prefix)
    assert made.startswith(prefix)
    assert len(made) == len(prefix) + 24
    assert made.removeprefix(prefix).isalnum()
