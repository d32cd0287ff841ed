"""The work of a batch in this process, with answers of its own: what is kept, and how it ends."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from nanosmith.core.errors import StorageFull, Unavailable
from nanosmith.jobs import kinds, run
from nanosmith.jobs.batches import answers as batch_answers
from nanosmith.jobs.batches import ending as batch_ending
from nanosmith.jobs.batches import work as batches
from nanosmith.jobs.batches.answers import PART, Answer
from nanosmith.jobs.batches.input import Line
from nanosmith.jobs.supervisor import Supervisor
from nanosmith.store.blobs import open_blobs
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document, Work

URL = "/v1/chat/completions"
Answering = Callable[[Line], Answer]
DAY_S = 24 * 3600


def good(line: Line) -> Answer:
    body = {"echo": json.loads(line.body), "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    stored = Document("stored", line.custom_id, 1, {})
    return Answer(200, f"req_{line.number}", json.dumps(body).encode(), (stored,))


class Answers:
    """Answers at once by `answer`; `asked` has the custom ids in the order in which they came."""

    def __init__(self, answer: Answering = good) -> None:
        self.answer = answer
        self.asked: list[str] = []

    @contextmanager
    def __call__(self, _ledger: Ledger, _home: Home, _row: Document) -> Iterator[Callable[[Line], Future[Answer]]]:
        yield self.ask

    def ask(self, line: Line) -> Future[Answer]:
        self.asked.append(line.custom_id)
        made: Future[Answer] = Future()
        try:
            made.set_result(self.answer(line))
        except Exception as error:
            made.set_exception(error)
        return made


Make = Callable[..., str]


@pytest.fixture
def make(home: Home, ledger: Ledger, upload: Any) -> Make:
    """A batch of so many lines (ids "0", "1", …); gives its id."""
    numbers = iter(range(1, 100))

    def make(count: int = 5, *, expires_at: float | None = None, **body: Any) -> str:
        rows = [{"custom_id": str(i), "method": "POST", "url": URL, "body": {"i": i}} for i in range(count)]
        file = upload("".join(json.dumps(row) + "\n" for row in rows).encode(), purpose="batch")
        id, whole = f"batch_{next(numbers)}", {"endpoint": URL, "input_file_id": file, "request_counts": {"total": 0}}
        whole |= {"expires_at": expires_at or time.time() + DAY_S} | body
        ledger.add(Document("batch", id, int(time.time()), whole, status="validating"), Work(id, "batch"))
        return id

    return make


def files_of(ledger: Ledger, home: Home, id: str) -> tuple[Document, list[Any], list[Any]]:
    """The batch, and the lines of its output and error files."""
    row = ledger.document("batch", id)
    assert row is not None

    def read(name: str) -> list[Any]:
        file = ledger.file(row.body.get(name) or "")
        if file is None:
            return []
        assert file.purpose == "batch_output"
        return [json.loads(line) for line in open_blobs(home).path(file.sha256).read_bytes().splitlines()]

    return row, read("output_file_id"), read("error_file_id")


def ids(lines: list[Any]) -> list[str]:
    return [line["custom_id"] for line in lines]


def nothing_left(ledger: Ledger, home: Home, id: str) -> bool:
    return not (ledger.documents(PART, parent=id) or ledger.work(id) or list(home.jobs.glob("*")))


def test_answers_become_files(home: Home, ledger: Ledger, make: Make) -> None:
    """Good answers are in the output file, in the order of the lines, others in the error file; counts agree."""

    def answer(line: Line) -> Answer:
        return Answer(400, "req_bad", b'{"error":{"code":"x"}}') if line.custom_id == "3" else good(line)

    id = make(250, output_expires_after_s=3600)
    run.main(id, home, answers=Answers(answer))
    row, output, errors = files_of(ledger, home, id)
    assert row.status == "completed"
    assert ids(output) == [str(i) for i in range(250) if i != 3]
    assert output[5]["response"] == {
        "status_code": 200, "request_id": "req_7",
        "body": {"echo": {"i": 6}, "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
    }  # fmt: skip
    assert ids(errors) == ["3"]
    assert (errors[0]["response"]["status_code"], errors[0]["error"]) == (400, None)
    assert len({line["id"] for line in output + errors}) == 250
    assert row.body["request_counts"] == {"total": 250, "completed": 249, "failed": 1}
    assert row.body["usage"]["total_tokens"] == 249 * 4
    assert row.body["in_progress_at"] <= row.body["finalizing_at"] <= row.body["completed_at"]
    file = ledger.file(row.body["output_file_id"])
    assert file is not None
    assert file.expires_at == file.created_at + 3600
    assert len(ledger.documents("stored", limit=1000)) == 249
    assert nothing_left(ledger, home, id)


def test_a_killed_batch_goes_on(home: Home, ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before any of its transactions, another process answers what was not kept, and every id is there once."""
    monkeypatch.setattr(batch_answers, "GROUP_LINES", 3)
    update, killed = Ledger.update_document, 0

    class Killed(BaseException):
        pass

    for step in range(1, 100):
        id, left = make(10), [step]

        def dies(*given: Any, left: list[int] = left, **named: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                raise Killed
            return update(*given, **named)

        monkeypatch.setattr(Ledger, "update_document", dies)
        lease = ledger.claim(id, "elsewhere:1")
        assert lease is not None
        work = kinds.KINDS["batch"].load_run()
        with run.attempt(ledger.under(lease), home, lease, kinds.KINDS["batch"].load_endings()) as pulse:
            try:
                work(ledger.under(lease), home, id, pulse, answers=Answers())
            except Killed:
                killed += 1
        monkeypatch.setattr(Ledger, "update_document", update)
        ledger.release(lease)
        again = Answers()
        run.main(id, home, answers=again)
        row, output, _ = files_of(ledger, home, id)
        assert (row.status, ids(output)) == ("completed", [str(i) for i in range(10)])
        assert row.body["request_counts"] == {"total": 10, "completed": 10, "failed": 0}
        assert nothing_left(ledger, home, id)
        if left[0] > 0:
            break
        for name in ids(output):
            assert ledger.delete_document("stored", name), "an answer is stored, and stored once"
    assert killed > 5


def test_an_expired_batch(home: Home, ledger: Ledger, make: Make) -> None:
    """What was answered in time is given out; the rest stands in the error file as expired."""

    def slow(line: Line) -> Answer:
        time.sleep(0.02)
        return good(line)

    id = make(200, expires_at=time.time() + 1)
    run.main(id, home, answers=Answers(slow))
    row, output, errors = files_of(ledger, home, id)
    assert row.status == "expired"
    assert "expired_at" in row.body
    assert 0 < len(output) < 200
    assert {line["error"]["code"] for line in errors} == {"batch_expired"}
    assert ids(output + errors) == [str(i) for i in range(200)]
    counts = row.body["request_counts"]
    assert (counts["completed"], counts["failed"]) == (len(output), len(errors))


def test_a_batch_that_waited_too_long(home: Home, ledger: Ledger, make: Make) -> None:
    """Nothing is asked; every request is in the error file."""
    id, answers = make(3, expires_at=1), Answers()
    run.main(id, home, answers=answers)
    row, output, errors = files_of(ledger, home, id)
    assert (row.status, output, ids(errors)) == ("expired", [], ["0", "1", "2"])


def test_bad_lines_fail_the_batch(home: Home, ledger: Ledger, make: Make, upload: Any) -> None:
    """Every bad line is named, and nothing is asked."""
    id = make(1, input_file_id=upload(b'{}\nx\n{"custom_id": 1}\n', purpose="batch"))
    answers = Answers()
    run.main(id, home, answers=answers)
    row, *_ = files_of(ledger, home, id)
    assert row.status == "failed"
    assert [one["line"] for one in row.body["errors"]["data"]] == [1, 2, 3]
    assert row.body["errors"]["object"] == "list"
    assert answers.asked == []
    assert nothing_left(ledger, home, id)


def test_a_deleted_input_file(home: Home, ledger: Ledger, make: Make) -> None:
    """A batch whose file was deleted before it began fails and says why."""
    id = make()
    row = ledger.document("batch", id)
    assert row is not None
    ledger.delete_file(row.body["input_file_id"])
    run.main(id, home, answers=Answers())
    row, output, errors = files_of(ledger, home, id)
    assert (row.status, output, errors) == ("failed", [], [])
    assert [(one["code"], one["param"]) for one in row.body["errors"]["data"]] == [("invalid_file", "input_file_id")]


def test_cancelled_while_it_runs(home: Home, ledger: Ledger, make: Make) -> None:
    """What was answered until then is given out, the rest is listed as cancelled."""
    id = make(1000)

    def answer(line: Line) -> Answer:
        if line.custom_id == "200":
            ledger.ask_to_stop(id, "cancel")
        time.sleep(0.002)
        return good(line)

    run.main(id, home, answers=Answers(answer))
    row, output, errors = files_of(ledger, home, id)
    assert row.status == "cancelled"
    assert row.body["cancelling_at"] <= row.body["cancelled_at"]
    assert 150 < len(output) < 1000
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
    assert ids(output + errors) == [str(i) for i in range(1000)]
    assert nothing_left(ledger, home, id)


def test_cancelled_at_the_end(home: Home, ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel that was acknowledged while the files are written is not overruled: cancelled, with all answers."""
    id, store = make(5), batch_ending._store

    def store_slowly(home: Home, row: Document, *given: Any) -> Any:
        if row.status == "finalizing":
            ledger.ask_to_stop(id, "cancel")
            ledger.update_document("batch", id, status="cancelling", body=row.body | {"cancelling_at": 7})
        return store(home, row, *given)

    monkeypatch.setattr(batch_ending, "_store", store_slowly)
    run.main(id, home, answers=Answers())
    row, output, errors = files_of(ledger, home, id)
    assert (row.status, row.body["cancelling_at"], len(output), errors) == ("cancelled", 7, 5, [])
    assert len(ledger.files()) == 2  # the input and one output


def test_a_lost_lease_writes_nothing(home: Home, ledger: Ledger, make: Make) -> None:
    """A process that was taken over keeps no answer and no file; the one that took over ends the batch."""
    id = make(5)

    def taken_over(line: Line) -> Answer:
        ledger.claim(id, "other:1", instead_of=ledger.work(id).owner)  # type: ignore[union-attr]
        return good(line)

    run.main(id, home, answers=Answers(taken_over))
    row, output, _ = files_of(ledger, home, id)
    assert (row.status, output) == ("in_progress", [])
    assert not ledger.documents(PART, parent=id)
    assert not ledger.documents("stored")
    ledger.claim(id, "gone", instead_of="other:1", lease_s=-1)
    run.main(id, home, answers=Answers())
    assert files_of(ledger, home, id)[0].status == "completed"


@pytest.mark.parametrize("trouble", [StorageFull("full"), Unavailable("away")])
def test_trouble_that_passes(
    home: Home, ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """Work that is done waits for a storage that is full or away."""
    monkeypatch.setattr(batches, "RETRY_S", 0.01)
    id, times, store = make(), Counter[str](), batch_ending._store

    def sometimes(*given: Any) -> Any:
        times["stored"] += 1
        if times["stored"] < 4:
            raise trouble
        return store(*given)

    monkeypatch.setattr(batch_ending, "_store", sometimes)
    run.main(id, home, answers=Answers())
    assert files_of(ledger, home, id)[0].status == "completed"
    assert times["stored"] == 4


def test_trouble_that_stays(home: Home, ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the end the batch fails, so that the next one gets its turn."""
    monkeypatch.setattr(batches, "RETRY_S", 0.01)
    monkeypatch.setattr(batches, "PATIENCE_S", 0.05)

    def full(*_: Any) -> Any:
        raise StorageFull("full")

    monkeypatch.setattr(batch_ending, "_store", full)
    id = make()
    run.main(id, home, answers=Answers())
    row, output, errors = files_of(ledger, home, id)
    assert (row.status, row.body["errors"]["data"][0]["code"]) == ("failed", "insufficient_storage")
    assert (output, errors) == ([], [])


def test_an_end_that_cannot_be_written(home: Home, ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled batch whose files have no room does not keep the supervisor from other work."""
    first, second, store = make(), make(), batch_ending._store

    def full(home: Home, row: Document, *given: Any) -> Any:
        if row.id == first:
            raise StorageFull("full")
        return store(home, row, *given)

    monkeypatch.setattr(batch_ending, "_store", full)
    for id in (first, second):
        counts = {"request_counts": {"total": 5}}
        row = ledger.document("batch", id)
        assert row is not None
        ledger.update_document("batch", id, status="in_progress", body=row.body | counts)
        ledger.ask_to_stop(id, "cancel")
    supervisor = Supervisor(home, poll_s=0.05)
    supervisor.start()
    until = time.monotonic() + 30
    while files_of(ledger, home, second)[0].status != "cancelled":
        assert time.monotonic() < until
        time.sleep(0.05)
    supervisor.stop()
    assert files_of(ledger, home, first)[0].status == "in_progress"
    assert ledger.work(first) is not None


def test_a_bug_in_the_middle(home: Home, ledger: Ledger, make: Make) -> None:
    """A batch that fails gives out what it has, and names the cause for the rest."""

    def answer(line: Line) -> Answer:
        if line.custom_id == "150":
            raise RuntimeError("a bug")
        return good(line)

    id = make(200)
    run.main(id, home, answers=Answers(answer))
    row, output, errors = files_of(ledger, home, id)
    assert (row.status, row.body["errors"]["data"][0]["code"]) == ("failed", "internal_error")
    assert ids(output + errors) == [str(i) for i in range(200)]
    assert 100 <= len(output) <= 150


def test_slow_answers_are_kept_every_second(home: Home, ledger: Ledger, make: Make) -> None:
    """While a long request is under way, what was answered before it is written down and counted."""
    id, seen = make(3), threading.Event()
    held: Future[Answer] = Future()

    class Slow(Answers):
        def ask(self, line: Line) -> Future[Answer]:
            return held if line.custom_id == "2" else super().ask(line)

    def look() -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and not seen.is_set():
            row = ledger.document("batch", id)
            if row is not None and row.body["request_counts"].get("completed") == 2:
                seen.set()
            time.sleep(0.05)
        held.set_result(good(Line(3, "2", b"{}")))

    watcher = threading.Thread(target=look)
    watcher.start()
    run.main(id, home, answers=Slow())
    watcher.join()
    assert seen.is_set()
    assert files_of(ledger, home, id)[0].body["request_counts"]["completed"] == 3
