"""The work of a run, interrupted in this process, and in real ones that are killed and cancelled."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.server.evals.conftest import ROWS, Runner, completions, make

from nanosmith.core.limits import MAX_EVAL_CRITERIA, MAX_STORED_BYTES
from nanosmith.jobs.run import main
from nanosmith.server.evals import work as eval_work
from nanosmith.server.evals.items import Evaluator, Graded
from nanosmith.server.evals.rows import Row

PAGE = Path(__file__).parents[3] / "docs" / "evals.md"
OPEN = ("queued", "in_progress")
SLOW_TEXT = " ".join(f"word{i}" for i in range(400))
SLOW = {
    "type": "text_similarity", "name": "slow", "input": "{{ item.text }}" * 10, "reference": "{{ item.label }}" * 10,
    "evaluation_metric": "rouge_l", "pass_threshold": 0.5,
}  # fmt: skip
"""Takes 10 to 20 ms for a row whose texts are both SLOW_TEXT."""


def test_an_interrupted_run_goes_on(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits in the queue with what was kept of it, and the next process grades the other rows alone."""
    made, graded = make(runner.client), Evaluator.graded
    run = runner.evals.runs.create(made.id, data_source=completions(*ROWS))

    def stopped_at_the_last(evaluator: Evaluator, row: Row) -> Graded:
        if row.number == 2:
            raise KeyboardInterrupt
        return graded(evaluator, row)

    with monkeypatch.context() as patched:
        patched.setattr(eval_work, "GROUP_ITEMS", 1)
        patched.setattr(Evaluator, "graded", stopped_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            main(run.id, runner.home)
    waiting = runner.evals.runs.retrieve(run.id, eval_id=made.id)
    assert (waiting.status, waiting.result_counts.total) == ("queued", 2)
    main(run.id, runner.home)
    done = runner.evals.runs.retrieve(run.id, eval_id=made.id)
    assert (done.status, done.result_counts.total) == ("completed", 3)
    assert done.per_model_usage[0].invocation_count == 3
    assert [item.datasource_item_id for item in runner.items(done)] == [0, 1, 2]


def test_the_page(working: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """The example of docs/evals.md runs as it stands, and the limits there are those of the code."""
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    scope: dict[str, Any] = {}
    exec(block.replace("http://localhost:8000/v1", str(working.http.base_url)), scope)
    scope["client"].close()
    assert capsys.readouterr().out == "completed 1 1\nI forgot my login login\n"
    assert f"1 to {MAX_EVAL_CRITERIA} `testing_criteria`" in text
    assert f"{MAX_STORED_BYTES // 1024**2} MiB of JSON" in text


def slow_run(runner: Runner, rows: int) -> Any:
    made = make(runner.client, SLOW)
    row = {"item": {"text": SLOW_TEXT, "label": SLOW_TEXT[::-1]}}
    lines = json.dumps(row).encode() + b"\n"
    return runner.evals.runs.create(made.id, data_source={"type": "jsonl", "source": runner.upload(lines * rows)})


def wait_for(runner: Runner, run: Any, true: Callable[[Any], Any], within_s: float = 60) -> Any:
    until = time.monotonic() + within_s
    while True:
        run = runner.evals.runs.retrieve(run.id, eval_id=run.eval_id)
        if true(run):
            return run
        assert time.monotonic() < until, f"still {run.status} with {run.result_counts}"
        time.sleep(0.02)


def test_killed_in_the_middle(working: Runner) -> None:
    """After kill -9 of its process the run goes on below the last rows that were kept: each is graded once."""
    run = wait_for(working, slow_run(working, 400), lambda run: run.result_counts.total)
    work = working.ledger.work(run.id)
    assert work is not None
    assert work.owner is not None
    os.kill(int(work.owner.rpartition(":")[2]), signal.SIGKILL)
    assert run.result_counts.total < 400
    done = wait_for(working, run, lambda run: run.status not in OPEN)
    assert (done.status, done.result_counts.total) == ("completed", 400)
    assert [item.datasource_item_id for item in working.items(run, limit=100)] == list(range(400))


def test_canceled_in_the_middle(working: Runner) -> None:
    """It takes two seconds on an idle machine; what was graded stays, and is what was counted."""
    run = wait_for(working, slow_run(working, 5000), lambda run: run.result_counts.total)
    asked = time.monotonic()
    assert working.evals.runs.cancel(run.id, eval_id=run.eval_id).status in ("in_progress", "canceled")
    ended = wait_for(working, run, lambda run: run.status not in OPEN)
    assert time.monotonic() - asked < 10
    assert ended.status == "canceled"
    assert len(working.items(run, limit=100)) == ended.result_counts.total > 0
    assert working.ledger.open_work() == []


def test_deleted_in_the_middle(working: Runner) -> None:
    """The process that works on it stops, and leaves nothing behind."""
    run = wait_for(working, slow_run(working, 5000), lambda run: run.result_counts.total)
    process = working.ledger.work(run.id)
    working.evals.delete(run.eval_id)
    until = time.monotonic() + 20
    pid = int((process.owner or "").rpartition(":")[2]) if process else 0
    while _runs(pid):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert working.ledger.count_documents("eval.run.output_item") == 0


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
