"""How a batch comes to an end: what was answered becomes its files, what was not stands in the error file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from nanosmith.core.errors import InputError, NanosmithError
from nanosmith.jobs.batches.answers import PART, Progress, counts, kept, progress_of, unanswered_line
from nanosmith.jobs.batches.input import Problem, lines
from nanosmith.jobs.batches.rows import EXPIRES_AFTER, OPEN, batch_row, change
from nanosmith.jobs.leftovers import forget
from nanosmith.jobs.pulse import Pulse
from nanosmith.jobs.webhooks.webhooks import announce
from nanosmith.store.blobs import open_blobs
from nanosmith.store.home import Home
from nanosmith.store.ledger import LeaseLost, Ledger, new_id
from nanosmith.store.records import Document, FileRow, Stop

PURPOSE = "batch_output"
CANCELLED = Problem("batch_cancelled", "The batch was cancelled before this request was answered.")
EXPIRED = Problem("batch_expired", "The completion window ended before this request was answered.")


class BatchEndings:
    """See nanosmith.jobs.attempt.Endings."""

    def stop(self, ledger: Ledger, home: Home, id: str, how: Stop) -> None:
        with _held(ledger):
            finish(ledger, home, id, "cancelled", rest=CANCELLED)

    def put_back(self, ledger: Ledger, home: Home, id: str) -> None:
        """Whoever goes on begins below the last line that was kept."""

    def fail(self, ledger: Ledger, home: Home, id: str, *, code: str, message: str, param: str | None = None) -> None:
        """What was answered is given out, unless even that cannot be done: then a batch that fails must still end."""
        problem = Problem(code, message, None, param)
        try:
            with _held(ledger):
                finish(ledger, home, id, "failed", rest=problem, problems=[problem])
        except LeaseLost:
            raise
        except NanosmithError:
            _end(ledger, home, id, "failed", progress_of(ledger, id), problems=[problem])


def finish(
    ledger: Ledger, home: Home, id: str, status: str, *, rest: Problem | None = None, problems: Sequence[Problem] = ()
) -> None:
    """End a batch with everything that was answered; requests that were not are in the error file with `rest`.

    Nothing is seen of it before all is durable. Raises StorageFull, Unavailable, LeaseLost, Cancelled (it is in another
    state by now).
    """
    row, progress = batch_row(ledger, id), progress_of(ledger, id)
    left = max(0, row.body["request_counts"]["total"] - progress.completed - progress.failed)
    unanswered = _unanswered(ledger, home, row, progress, rest) if rest and left else iter(())
    output = _store(home, row, "output", kept(ledger, id, "output")) if progress.completed else None
    errors = None
    if progress.failed or left:
        errors = _store(home, row, "error", chain(kept(ledger, id, "errors"), unanswered))
    progress.failed += left
    _end(ledger, home, id, status, progress, output=output, errors=errors, problems=problems)


def _held(ledger: Ledger) -> Pulse:
    """Keeps the lease while large files are written: the pulse of the work itself has stopped by now."""
    assert ledger.lease is not None
    return Pulse(ledger, ledger.lease)


def input_path(ledger: Ledger, home: Home, row: Document) -> Path:
    """The input file of a batch. Raises InputError when it was deleted."""
    file = ledger.file(row.body["input_file_id"])
    if file is None:
        raise InputError(
            "the input file was deleted",
            got=repr(row.body["input_file_id"]),
            code="invalid_file",
            param="input_file_id",
        )
    return open_blobs(home).path(file.sha256)


def _unanswered(ledger: Ledger, home: Home, row: Document, progress: Progress, why: Problem) -> Iterator[bytes]:
    """Lines of the error file; none when the input file is not there any more."""
    try:
        path = input_path(ledger, home, row)
    except InputError:
        return
    for line in lines(path, after=progress.line):
        yield unanswered_line(row.id, line, why.code, why.message)


def _store(home: Home, row: Document, name: str, chunks: Iterable[bytes]) -> FileRow | None:
    """The file of these lines, not announced yet; None when there are none."""
    blob = open_blobs(home).put(chunks)
    if not blob.bytes:
        return None
    now, after_s = int(time.time()), row.body.get(EXPIRES_AFTER)
    expires_at = now + after_s if after_s else None
    return FileRow(
        new_id("file-"), now, blob.bytes, f"{row.id}_{name}.jsonl", PURPOSE, blob.sha256, expires_at=expires_at
    )


def _end(
    ledger: Ledger, home: Home, id: str, status: str, progress: Progress, *, output: FileRow | None = None,
    errors: FileRow | None = None, problems: Sequence[Problem] = (),
) -> None:  # fmt: skip
    """The last change of a batch, in one transaction with its files; what was kept of its answers goes."""
    body, now = batch_row(ledger, id).body, int(time.time())
    fields = {
        f"{status}_at": now,
        "output_file_id": output and output.id,
        "error_file_id": errors and errors.id,
        "request_counts": counts(body["request_counts"]["total"], progress),
        "usage": progress.usage,
    }
    if status == "cancelled":
        fields["cancelling_at"] = body.get("cancelling_at") or now
    if problems:
        fields["errors"] = {"object": "list", "data": msgspec.to_builtins(problems)}
    files = [file for file in (output, errors) if file is not None]
    expect = ("finalizing",) if status == "completed" else OPEN
    also = [*files, *announce(ledger, f"batch.{status}", id)]
    change(ledger, id, expect, also=also, drop=(PART,), end=True, status=status, **fields)
    forget(home, id)
