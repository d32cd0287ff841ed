"""The ledger."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanosmith.core.errors import StorageFull
from nanosmith.store.ledger import ALPHABET, Ledger, UnknownCursor, new_event, new_id
from nanosmith.store.records import CheckpointRow, FileRow, JobRow, ModelRow

COMMITTER = """
import itertools, os, sys
from pathlib import Path
from nanosmith.store.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for i in itertools.count():
    ledger.add_event("job", f"{os.getpid()}-{i}")
    os.write(1, f"{os.getpid()}-{i}\\n".encode())
"""
CLAIMER = """
import os, sys, time
from pathlib import Path
from nanosmith.store.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for job in sys.argv[2:]:
    if ledger.claim_job(job, pid=os.getpid(), now=1):
        print(job, flush=True)
"""
OPENER = """
import sys
from pathlib import Path
from nanosmith.store.ledger import Ledger
sys.stdin.readline()
Ledger(Path(sys.argv[1])).add_event("job", "opened")
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def job(id: str = "ftjob-1", **values: Any) -> JobRow:
    return JobRow(id, 1, "m", "file-1", {"model": "m"}, 7, {"n_epochs": "auto"}, **values)


def file(id: str, **values: Any) -> FileRow:
    return FileRow(id, 1, 2, "x.jsonl", values.pop("purpose", "fine-tune"), "0" * 64, **values)


def same(found: Any, given: Any) -> bool:
    """Equal but for the number that the ledger gave."""
    return bool(msgspec.structs.replace(found, seq=0) == given)


def test_rows_come_back(tmp_path: Path) -> None:
    """Every kind of row, with all columns set, is the same after the database was closed and opened."""
    rows: list[tuple[Any, str, str]] = [
        (file("file-1", status="error", expires_at=9), "add_file", "file"),
        (
            job("ftjob-1", status="running", validation_file="file-2", suffix="s", metadata={"k": "v"}, started_at=2,
                finished_at=3, estimated_finish=4, fine_tuned_model="ft:x", trained_tokens=5, result_files=["file-3"],
                error={"code": "c", "message": "m", "param": None}, cancel_requested=True, pid=6, heartbeat_at=7),
            "add_job", "job",
        ),
        (job("ftjob-2"), "add_job", "job"),
        (ModelRow("ft:x", 1, "folder", "d", "b", "local", "ftjob-1"), "add_model", "model"),
    ]  # fmt: skip
    first = Ledger(tmp_path / "l.sqlite")
    for row, add, _ in rows:
        getattr(first, add)(row)
    checkpoint = CheckpointRow("ftckpt_1", "ftjob-1", 1, 10, "ft:x:ckpt-step-10", {"train_loss": 0.5})
    first.add_checkpoint(checkpoint)
    first.add_event("ftjob-1", "message", level="warn", type="metrics", data={"a": [1, None]})
    first.close()
    again = Ledger(tmp_path / "l.sqlite")
    for row, _, get in rows:
        assert same(getattr(again, get)(getattr(row, "id", None) or row.name), row)
    assert same(again.checkpoints("ftjob-1")[0], checkpoint)
    [event] = again.events("ftjob-1")
    assert (event.message, event.level, event.type, event.data) == ("message", "warn", "metrics", {"a": [1, None]})
    again.close()


def test_unknown_names(ledger: Ledger) -> None:
    """What is not there is None or False, never an error."""
    assert (ledger.file("x"), ledger.job("x"), ledger.model("x")) == (None, None, None)
    assert (ledger.delete_file("x"), ledger.delete_model("x")) == (False, False)
    assert ledger.update_job("x", status="failed") is None
    assert ledger.claim_job("x", pid=1, now=1) is None


def test_names_are_unique(ledger: Ledger) -> None:
    """A model's name can be given once."""
    row = ModelRow("ft:x", 1, "folder", "d", "b")
    ledger.add_model(row)
    with pytest.raises(sa.exc.IntegrityError):
        ledger.add_model(row)


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
    assert ledger.open_jobs() == []


def test_update_with_conditions(ledger: Ledger) -> None:
    """A change happens where all columns are as expected, None included."""
    ledger.add_job(job())
    assert ledger.update_job("ftjob-1", expect={"pid": 1}, pid=2) is None
    assert ledger.update_job("ftjob-1", expect={"pid": None, "status": "queued"}, pid=2) is None
    changed = ledger.update_job("ftjob-1", expect={"pid": None}, also=[new_event("ftjob-1", "taken")], pid=2)
    assert changed is not None
    assert changed.pid == 2
    assert [event.message for event in ledger.events("ftjob-1")] == ["taken"]


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


def test_only_queued_jobs_are_claimed(ledger: Ledger) -> None:
    """The first claim of a queued job wins."""
    ledger.add_job(job())
    assert ledger.claim_job("ftjob-1", pid=1, now=5) is None
    ledger.update_job("ftjob-1", status="queued")
    taken = ledger.claim_job("ftjob-1", pid=1, now=5)
    assert taken is not None
    assert (taken.status, taken.pid, taken.heartbeat_at, taken.started_at) == ("running", 1, 5, 5)
    assert ledger.claim_job("ftjob-1", pid=2, now=6) is None


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@given(stored=st.lists(st.dictionaries(TEXTS, TEXTS, max_size=3), min_size=1, max_size=3), asked=st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_metadata_filter(ledger: Ledger, stored: list[dict[str, str]], asked: st.DataObject) -> None:
    """A job is found by any part of its metadata, whatever characters keys and values have, and by nothing else."""
    ids = [new_id("ftjob-") for _ in stored]
    for id, pairs in zip(ids, stored):
        ledger.add_job(job(id, metadata=pairs))
    whole = asked.draw(st.sampled_from(stored))
    part = dict(asked.draw(st.lists(st.sampled_from(sorted(whole.items())), max_size=2))) if whole else {}
    found = {row.id for row in ledger.jobs(metadata=part, limit=10_000)}
    assert found & set(ids) == {id for id, pairs in zip(ids, stored) if part.items() <= pairs.items()}


@pytest.mark.parametrize("text", ['"', "a.b", "$.x", "[0]", "\\", "'", "\x1f", "%", "β", " ", "k': '"])
def test_metadata_with_odd_characters(ledger: Ledger, text: str) -> None:
    """Quotes, dots and brackets in keys are not taken for a path."""
    ledger.add_job(job("odd", metadata={text: text, "other": "x"}))
    ledger.add_job(job("plain", metadata={"other": text}))
    assert [row.id for row in ledger.jobs(metadata={text: text})] == ["odd"]
    assert [row.id for row in ledger.jobs(metadata={"other": text})] == ["plain"]


def test_jobs_without_metadata(ledger: Ledger) -> None:
    """`metadata=null` in a query finds the jobs that have none."""
    for id, metadata in (("a", None), ("b", {"k": "v"}), ("c", None)):
        ledger.add_job(job(id, metadata=metadata))
    assert [row.id for row in ledger.jobs(without_metadata=True)] == ["c", "a"]


def test_open_jobs_oldest_first(ledger: Ledger) -> None:
    """The order in which waiting jobs are taken."""
    for id, status in (("a", "queued"), ("b", "succeeded"), ("c", "running"), ("d", "validating_files")):
        ledger.add_job(job(id, status=status))
    assert [row.id for row in ledger.open_jobs()] == ["a", "c", "d"]


@given(count=st.integers(0, 25), limit=st.integers(1, 30), newest_first=st.booleans(), odd=st.booleans())
@settings(max_examples=25, deadline=None)
def test_pages_make_up_the_list(
    tmp_path_factory: pytest.TempPathFactory, count: int, limit: int, newest_first: bool, odd: bool
) -> None:
    """Following `after` until has_more is False gives every row once, in order; also with a filter."""
    ledger = pages_ledger(tmp_path_factory, count)
    wanted = [f"file-{i}" for i in range(count) if not odd or i % 2]
    purpose = "odd" if odd else None
    seen: list[str] = []
    while True:
        page = ledger.files(purpose=purpose, after=seen[-1] if seen else None, limit=limit, newest_first=newest_first)
        seen += [row.id for row in page]
        assert page.has_more == (len(seen) < len(wanted))
        if not page.has_more:
            break
        assert len(page) == limit
    ledger.close()
    assert seen == (wanted[::-1] if newest_first else wanted)


def pages_ledger(factory: pytest.TempPathFactory, count: int) -> Ledger:
    """A ledger of `count` files, every second one of purpose "odd"."""
    path = factory.getbasetemp() / f"pages-{count}.sqlite"
    is_new = not path.exists()
    ledger = Ledger(path)
    for i in range(count if is_new else 0):
        ledger.add_file(file(f"file-{i}", purpose="odd" if i % 2 else "even"))
    return ledger


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
    """A cursor that names no row is an error, not an endless list."""
    with pytest.raises(UnknownCursor):
        ledger.files(after="file-gone")


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


def test_exactly_one_process_claims(ledger: Ledger) -> None:
    """Three processes try to claim the same ten jobs at once: each job goes to one of them."""
    ids = [f"ftjob-{i}" for i in range(10)]
    for id in ids:
        ledger.add_job(job(id, status="queued"))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", CLAIMER, str(ledger.path), *ids]
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    claimed = {process.pid: process.communicate()[0].split() for process in processes}
    assert sorted(itertools.chain(*claimed.values())) == ids
    assert all((ledger.job(id) or job()).pid == pid for pid, taken in claimed.items() for id in taken)


def test_processes_create_the_ledger_at_once(tmp_path: Path) -> None:
    """Three processes that open a new data folder at the same moment all succeed."""
    path = tmp_path / "new.sqlite"
    command = [sys.executable, "-c", OPENER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    time.sleep(0.3)
    errors = [process.communicate("\n")[1] for process in processes]
    assert errors == [""] * 3
    ledger = Ledger(path)
    assert len(ledger.events("job")) == 3
    ledger.close()


def test_acknowledged_commits_survive_kill(tmp_path: Path) -> None:
    """Killed again and again while writing: every commit that was acknowledged is there."""
    path = tmp_path / "l.sqlite"
    acknowledged: set[str] = set()
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", COMMITTER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(0.05)
        writer.kill()
        rest, _ = writer.communicate()
        acknowledged |= {line.decode() for line in (first + rest).splitlines(keepends=False) if line}
    ledger = Ledger(path)
    there = {event.message for event in ledger.events("job", limit=100_000)}
    ledger.close()
    assert len(acknowledged) >= 4
    assert acknowledged <= there
    assert len(there) <= len(acknowledged) + 4


def fill(ledger: Ledger) -> None:
    """Commit 50 kB at a time, more than fits."""
    for letter in ALPHABET:
        ledger.add_event("job", letter * 50_000)


def test_full_disk(tiny_disk: Path) -> None:
    """StorageFull in words; what was committed is there, and writing goes on once there is room."""
    ledger = Ledger(tiny_disk / "l.sqlite")
    with pytest.raises(StorageFull, match="the disk is full"):
        fill(ledger)
    stored = [event.message[0] for event in reversed(ledger.events("job", limit=1000))]
    assert stored
    assert stored == list(ALPHABET[: len(stored)])
    ledger.close()


@given(st.sampled_from(["file-", "ftjob-", "ftckpt_"]))
def test_ids(prefix: str) -> None:
    """The documented prefix and 24 letters and digits."""
    made = new_id(prefix)
    assert made.startswith(prefix)
    assert len(made) == len(prefix) + 24
    assert made.removeprefix(prefix).isalnum()
