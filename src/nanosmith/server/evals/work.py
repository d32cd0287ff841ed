"""The work of an eval run: grades its rows in their order, and keeps them in groups.

The output items of a group and the counts that have them in it are written in one transaction, so that an attempt that
begins again goes on below the last row that was counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
from anyio.from_thread import BlockingPortal, start_blocking_portal

from nanosmith.core.errors import Cancelled, InputError
from nanosmith.jobs.pulse import Pulse
from nanosmith.jobs.webhooks.webhooks import announce
from nanosmith.server.evals.asking import sampled
from nanosmith.server.evals.evals import all_documents
from nanosmith.server.evals.items import Evaluator, Graded
from nanosmith.server.evals.records import EVAL, ITEM, KEY, OPEN, RUN, Counts
from nanosmith.server.evals.request import item_schema
from nanosmith.server.evals.rows import rows_of
from nanosmith.server.evals.run_request import CreateRun, Source, Stored, sampling_of
from nanosmith.server.evals.tools import tools_of
from nanosmith.server.services import Services, Shared
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import Document, Stop

GROUP_ITEMS = 100
GROUP_S = 1.0


def run(ledger: Ledger, home: Home, id: str, pulse: Pulse, /, **_: Any) -> None:
    """See nanosmith.jobs.kinds.Run."""
    row = _run(ledger, id)
    definition = ledger.document(EVAL, row.parent or "")
    if definition is None:
        raise InputError("the eval was deleted", got=repr(row.parent), code="not_found")
    ledger.update_document(RUN, id, status="in_progress")
    with start_blocking_portal() as portal, closing(Shared(home, ledger)) as shared:
        shared.routing.allow_remote("*")  # what may be asked was checked when the run was made
        try:
            _grade(Services(home, ledger, shared), row, definition, pulse, portal)
        finally:
            portal.call(shared.routing.close)
    told = announce(ledger, "eval.run.succeeded", id)
    ledger.update_document(RUN, id, also=told, end=True, status="completed")


class EvalEndings:
    """See nanosmith.jobs.attempt.Endings."""

    def stop(self, ledger: Ledger, home: Home, id: str, how: Stop) -> None:
        told = announce(ledger, "eval.run.canceled", id)
        ledger.update_document(RUN, id, expect={"status": OPEN}, also=told, end=True, status="canceled")

    def put_back(self, ledger: Ledger, home: Home, id: str) -> None:
        ledger.update_document(RUN, id, expect={"status": "in_progress"}, status="queued")

    def fail(self, ledger: Ledger, home: Home, id: str, *, code: str, message: str, param: str | None = None) -> None:
        row = ledger.document(RUN, id)
        if row is not None:
            body = row.body | {"error": {"code": code, "message": message}}
            told = announce(ledger, "eval.run.failed", id)
            ledger.update_document(RUN, id, expect={"status": OPEN}, also=told, end=True, status="failed", body=body)


class Keeper:
    """Output items that are not kept yet, and the counts that they will be kept with."""

    def __init__(self, ledger: Ledger, row: Document) -> None:
        self.counts = msgspec.convert(row.body["counts"], Counts)
        self._ledger = ledger
        self._row = row
        self._items: list[Document] = []
        self._began_s = time.monotonic()

    def add(self, graded: Graded) -> None:
        count(self.counts, graded)
        id, now = new_id("outputitem_"), int(time.time())
        self._items.append(Document(ITEM, id, now, graded.body, parent=self._row.id, status=graded.status))
        if len(self._items) >= GROUP_ITEMS or time.monotonic() - self._began_s >= GROUP_S:
            self.keep()

    def keep(self) -> None:
        """Raises LeaseLost."""
        if not self._items:
            return
        body = self._row.body | {"counts": msgspec.to_builtins(self.counts)}
        self._ledger.update_document(RUN, self._row.id, also=self._items, body=body)
        self._items, self._began_s = [], time.monotonic()


def count(counts: Counts, graded: Graded) -> None:
    counts.done += 1
    counts.items[graded.status] += 1
    for result in graded.results:
        of_criterion = counts.criteria[result["name"]]
        errored = "nanosmith" in result
        of_criterion["errored" if errored else "passed" if result["passed"] else "failed"] += 1
    if not graded.results:
        for of_criterion in counts.criteria.values():
            of_criterion["errored"] += 1
    for answer in graded.answers:
        of_model = counts.models.setdefault(
            answer.model, {"invocation_count": 0, "prompt_tokens": 0, "completion_tokens": 0}
        )
        of_model["invocation_count"] += 1
        of_model["prompt_tokens"] += answer.prompt_tokens
        of_model["completion_tokens"] += answer.completion_tokens


def _grade(here: Services, row: Document, definition: Document, pulse: Pulse, portal: BlockingPortal) -> None:
    ledger, home, key = here.ledger, here.home, row.body.get(KEY) or ""
    asked = msgspec.convert({"data_source": row.body["data_source"]}, CreateRun).data_source
    evaluator = Evaluator(
        definition.body["testing_criteria"], sampling_of(asked), tools_of(here, portal.call, key=key),
        answer=lambda question: portal.call(sampled, question, here, key),
    )  # fmt: skip
    config = definition.body["data_source_config"]
    source, keeper = _narrowed(asked.source, config, row), Keeper(ledger, row)
    rest = rows_of(
        ledger, home, source, item_schema(config), done=keeper.counts.done, done_ids=lambda: _done_ids(ledger, row.id)
    )
    for one in rest:
        if pulse.should_stop():
            keeper.keep()
            raise Cancelled("stopped on request")
        keeper.add(evaluator.graded(one))
    keeper.keep()


def _narrowed(source: Source, config: dict[str, Any], row: Document) -> Source:
    """Of stored completions, those that the eval is about too, and that were there when the run was created."""
    if not isinstance(source, Stored):
        return source
    metadata = (config.get("metadata") or {}) | (source.metadata or {})
    last = row.created_at if source.created_before is None else min(row.created_at, source.created_before)
    return msgspec.structs.replace(source, metadata=metadata, created_before=last)


def _done_ids(ledger: Ledger, run_id: str) -> Iterator[str]:
    """The completions that an earlier attempt graded."""
    return (one.body["source_id"] for one in all_documents(ledger, ITEM, parent=run_id))


def _run(ledger: Ledger, id: str) -> Document:
    row = ledger.document(RUN, id)
    assert row is not None, "a work goes with its run"
    return row
