"""What a batch has answered: kept in the ledger as it comes, joined into the output files at the end.

Answers are kept in groups, in the order of the lines, one row each. A row is written under the lease of the work, so
that a process that lost it keeps nothing, and whichever process goes on, on whichever machine, begins below the last
line of the last row: no line is in two rows, and none is missing. A file in the job's folder would have neither.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import msgspec

from nanosmith.jobs.batches.input import Line
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document

PART = "batch.part"
GROUP_LINES = 100
GROUP_S = 1.0
GROUP_BYTES = 1024**2
PARTS_AT_ONCE = 2  # that are in memory; one may be as large as the largest answer


class Answer(msgspec.Struct, frozen=True):
    """The response to one request; `body` is JSON. `rows` are what it stores: they become durable with it."""

    status: int
    request_id: str
    body: bytes
    rows: tuple[msgspec.Struct, ...] = ()


class Progress(msgspec.Struct):
    """What is answered up to and with `line`."""

    line: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def usage(self) -> dict[str, object]:
        """OpenAI's object; no model here has a cache of prompts, or reasons."""
        return {
            "input_tokens": self.input_tokens, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": self.output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.input_tokens + self.output_tokens,
        }  # fmt: skip


def counts(total: int, progress: Progress) -> dict[str, int]:
    """OpenAI's object of request counts."""
    return {"total": total, "completed": progress.completed, "failed": progress.failed}


class _Usage(msgspec.Struct, frozen=True):
    """In the words of chat completions and embeddings, or in those of responses and decisions."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class _Body(msgspec.Struct):
    usage: _Usage = _Usage()


class Group:
    """Answers that are not kept yet; `progress` counts them."""

    def __init__(self, batch_id: str, progress: Progress) -> None:
        self.progress = progress
        self._batch_id = batch_id
        self._output = bytearray()
        self._errors = bytearray()
        self._rows: list[msgspec.Struct] = []
        self._lines = 0
        self._began_s = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether it is to be kept now."""
        if not self._lines:
            return False
        is_large = self._lines >= GROUP_LINES or len(self._output) + len(self._errors) >= GROUP_BYTES
        return is_large or time.monotonic() - self._began_s >= GROUP_S

    def add(self, line: Line, answer: Answer) -> None:
        progress, is_good = self.progress, 200 <= answer.status < 300
        self._lines += 1
        self._rows += answer.rows
        progress.line = line.number
        if is_good:
            progress.completed += 1
            usage = msgspec.json.decode(answer.body, type=_Body).usage
            progress.input_tokens += usage.prompt_tokens + usage.input_tokens
            progress.output_tokens += usage.completion_tokens + usage.output_tokens
        else:
            progress.failed += 1
        (self._output if is_good else self._errors).extend(_output_line(self._batch_id, line, answer))

    def take(self) -> list[msgspec.Struct]:
        """The rows that keep it, if there is anything to keep; then it is empty."""
        if not self._lines:
            return []
        body = {
            "output": self._output.decode(), "errors": self._errors.decode(),
            "progress": msgspec.to_builtins(self.progress),
        }  # fmt: skip
        self._output.clear()
        self._errors.clear()
        id = f"{self._batch_id}:{self.progress.line}"
        rows = [*self._rows, Document(PART, id, int(time.time()), body, parent=self._batch_id)]
        self._rows, self._lines, self._began_s = [], 0, time.monotonic()
        return rows


def progress_of(ledger: Ledger, batch_id: str) -> Progress:
    """What is kept so far."""
    last = ledger.documents(PART, parent=batch_id, limit=1)
    return msgspec.convert(last[0].body["progress"], Progress) if last else Progress()


def kept(ledger: Ledger, batch_id: str, name: str) -> Iterator[bytes]:
    """The kept lines of the output (`name` "output") or of the error file ("errors"), group by group."""
    after = None
    while True:
        page = ledger.documents(PART, parent=batch_id, after=after, limit=PARTS_AT_ONCE, newest_first=False)
        yield from (part.body[name].encode() for part in page)
        if not page.has_more:
            return
        after = page[-1].id


def unanswered_line(batch_id: str, line: Line, code: str, message: str) -> bytes:
    """A line of the error file for a request that nobody answered."""
    said = {"response": None, "error": {"code": code, "message": message}}
    return _encoded({"id": _request_id(batch_id, line), "custom_id": line.custom_id} | said)


def _output_line(batch_id: str, line: Line, answer: Answer) -> bytes:
    response = {"status_code": answer.status, "request_id": answer.request_id, "body": msgspec.Raw(answer.body)}
    return _encoded(
        {"id": _request_id(batch_id, line), "custom_id": line.custom_id, "response": response, "error": None}
    )


def _encoded(content: object) -> bytes:
    return msgspec.json.encode(content) + b"\n"


def _request_id(batch_id: str, line: Line) -> str:
    """The same whenever it is asked for, so that an end that is repeated after a crash writes the same file."""
    return "batch_req_" + hashlib.sha256(f"{batch_id}:{line.number}".encode()).hexdigest()[:24]
