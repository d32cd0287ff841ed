"""The work of a batch: check its file, answer its requests, write the output files."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

from nanosmith.core.errors import Cancelled, StorageFull, Unavailable
from nanosmith.jobs.batches.answers import Answer, Group, counts, progress_of
from nanosmith.jobs.batches.ending import EXPIRED, finish, input_path
from nanosmith.jobs.batches.input import Line, check, lines
from nanosmith.jobs.batches.rows import batch_row, change
from nanosmith.jobs.kinds import load
from nanosmith.jobs.pulse import Pulse
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document

Ask: TypeAlias = Callable[[Line], futures.Future[Answer]]
Answers: TypeAlias = Callable[[Ledger, Home, Document], AbstractContextManager[Ask]]
"""From ledger, home and a batch to what answers its requests."""
ANSWERS = "nanosmith.server.batches.lines:opened"
"""The server's own code, by name: it lies above this package, and is loaded by the process of a batch alone."""
AT_ONCE = 8  # requests that are under way
LOOK_S = 0.2
PATIENCE_S = 3600.0
"""How long finished work waits for a storage that is full or away."""
RETRY_S = 2.0


def run(ledger: Ledger, home: Home, id: str, pulse: Pulse, *, answers: Answers | str = ANSWERS) -> None:
    """From whichever state an earlier process left it in."""
    row = batch_row(ledger, id)
    path = input_path(ledger, home, row)
    if row.status == "validating" and not _validate(ledger, home, row, path, pulse):
        return
    in_time = _answer(ledger, home, row, path, pulse, load(answers) if isinstance(answers, str) else answers)
    if in_time:
        now = int(time.time())
        change(ledger, id, ("in_progress", "finalizing"), status="finalizing", finalizing_at=now)
    status, rest = ("completed", None) if in_time else ("expired", EXPIRED)
    _patiently(lambda: finish(ledger, home, id, status, rest=rest), pulse)


def _validate(ledger: Ledger, home: Home, row: Document, path: Path, pulse: Pulse) -> bool:
    """False when the file cannot be used: then the batch has failed, and names every bad line."""
    found = check(path, row.body["endpoint"], pulse.should_stop)
    if found.problems:
        finish(ledger, home, row.id, "failed", problems=found.problems)
        return False
    total = counts(found.requests, progress_of(ledger, row.id))
    now = int(time.time())
    change(
        ledger, row.id, ("validating",), status="in_progress",
        in_progress_at=now, request_counts=total, model=found.model,
    )  # fmt: skip
    return True


def _answer(ledger: Ledger, home: Home, row: Document, path: Path, pulse: Pulse, answers: Answers) -> bool:
    """Answer the lines that are not answered yet. False when the batch expires first; raises Cancelled."""
    group = Group(row.id, progress_of(ledger, row.id))
    rest = lines(path, after=group.progress.line)
    waiting: deque[tuple[Line, futures.Future[Answer]]] = deque()
    with answers(ledger, home, row) as ask:
        try:
            while _filled(waiting, rest, ask) and not pulse.should_stop() and time.time() < row.body["expires_at"]:
                if group.is_due:
                    _keep(ledger, row.id, group, pulse)
                if _is_done(waiting[0][1]):
                    line, answer = waiting.popleft()
                    group.add(line, answer.result())
        finally:
            for _, answer in waiting:
                answer.cancel()
    _keep(ledger, row.id, group, pulse)
    if pulse.should_stop():
        raise Cancelled("stopped on request")
    return not waiting


def _filled(waiting: deque[tuple[Line, futures.Future[Answer]]], rest: Iterator[Line], ask: Ask) -> bool:
    """Let up to AT_ONCE requests be under way. False when all are answered."""
    while len(waiting) < AT_ONCE and (line := next(rest, None)) is not None:
        waiting.append((line, ask(line)))
    return bool(waiting)


def _is_done(answer: futures.Future[Answer]) -> bool:
    """Wait for an answer, but not for long."""
    return answer.done() or bool(futures.wait((answer,), LOOK_S).done)


def _keep(ledger: Ledger, id: str, group: Group, pulse: Pulse) -> None:
    part, total = group.take(), batch_row(ledger, id).body["request_counts"]["total"]
    if part:
        fields: dict[str, Any] = {"request_counts": counts(total, group.progress), "usage": group.progress.usage}
        _patiently(lambda: change(ledger, id, ("in_progress", "cancelling"), also=part, **fields), pulse)


def _patiently(work: Callable[[], object], pulse: Pulse) -> None:
    """Do it once the storage can be reached and has room. Raises Cancelled, or what the storage says in the end."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            work()
        except (StorageFull, Unavailable):
            if time.monotonic() > until:
                raise
        else:
            return
        if pulse.should_stop():
            raise Cancelled("stopped on request")
        time.sleep(RETRY_S)
