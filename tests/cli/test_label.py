"""`nanosmith label`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fake_teacher import LABELS, table, teaching, write_texts
from typer.testing import CliRunner

from nanosmith.cli.main import app
from nanosmith.testing.provider import FakeProvider

ROWS = table(120)


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    with teaching(tmp_path, monkeypatch, ROWS) as running:
        yield running


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_texts(tmp_path, ROWS)


def words(file: Path, *options: str, teacher: str = "fake/big") -> list[str]:
    out = ["--out", str(file.with_name("out.jsonl")), "--labels", ",".join(LABELS), "--json"]
    return ["label", str(file), "--teacher", teacher, *out, *options]


def started(file: Path, *options: str) -> subprocess.Popen[str]:
    """In a process of its own."""
    command = [sys.executable, "-m", "nanosmith", *words(file, *options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(file: Path, *options: str, teacher: str = "fake/big") -> tuple[int, Any, str]:
    """Exit code, the JSON object, and stderr."""
    done = CliRunner().invoke(app, words(file, *options, teacher=teacher))
    return done.exit_code, json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_killed_run_goes_on(provider: FakeProvider, texts: Path) -> None:
    """After SIGKILL nothing that was answered and kept is asked again: only what was under way is paid twice at most,
    and all texts have their labels in the end."""
    provider.set_faults("latency=1:0.05")
    process = started(texts, "--parallel", "4")
    journal = texts.with_name("out.jsonl.journal")
    while process.poll() is None and not (journal.is_file() and journal.read_bytes().count(b"\n") >= 30):
        time.sleep(0.02)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = journal.read_bytes().count(b"\n")
    assert not texts.with_name("out.jsonl").exists()
    provider.set_faults("")
    status, shown, _ = run(texts)
    assert (status, shown["labelled"], shown["cached"], shown["left_out"]) == (0, 120, kept, [])
    answers = provider.seen()["texts"]
    assert set(answers) == set(ROWS)
    assert sum(answers.values()) - 120 <= 4  # those that were under way
    rows = [json.loads(line) for line in texts.with_name("out.jsonl").read_text().splitlines()]
    assert [(row["text"], row["label"]) for row in rows] == list(ROWS.items())


def test_stopped_by_ctrl_c(provider: FakeProvider, texts: Path) -> None:
    """Ctrl-C ends the run at once, also while the teacher answers nothing, without a traceback."""
    provider.set_faults("hang=1:60")
    process = started(texts)
    while not provider.seen()["requests"]:
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - began < 30
    assert "Traceback" not in stderr


def test_dear_runs_need_a_yes_or_a_budget(provider: FakeProvider, texts: Path) -> None:
    """Above a dollar nothing is asked without them; the estimate is told before, the cost after."""
    status, shown, stderr = run(texts, teacher="fake/dear")
    assert (status, shown["error"]["param"]) == (2, "yes")
    assert "120 texts, 0 labelled before, 120 questions, about" in stderr
    assert provider.seen()["requests"] == 0
    status, shown, stderr = run(texts, "--budget", "2 USD", "--rate", "500/s", teacher="fake/dear")
    assert (status, shown["stopped"]) == (0, "budget")
    assert 0 < shown["cost_usd"] <= 2
    assert "left out, budget" in stderr


def test_teacher_that_is_away(texts: Path) -> None:
    """A teacher that never answers ends with exit code 1, the reason, and the way to go on."""
    status, shown, stderr = run(
        texts, "--patience", "1s", "--timeout", "1s", "--retries", "0", teacher="http://127.0.0.1:9/v1#m"
    )
    assert (status, shown["stopped"], shown["labelled"], shown["out"]) == (1, "teacher", 0, None)
    assert "nothing was written" in stderr
    assert len(shown["left_out"]) == 120
    assert "The same command goes on from here" in stderr


@pytest.mark.parametrize(
    "options",
    [("--budget", "much"), ("--rate", "fast"), ("--timeout", "0"), ("--parallel", "0"), ("--hardest", "3"),
     ("--labels", "one"), ("--kind", "text"), ("--schema", "absent.json"), ("--kind", "number"), ("--patience", "-1s")],
)  # fmt: skip
def test_wrong_options(provider: FakeProvider, texts: Path, options: tuple[str, ...]) -> None:
    """Each wrong option is an error of one line and exit code 2, before anything is asked."""
    status, shown, stderr = run(texts, *options)
    assert status == 2
    assert shown["error"]["message"]
    assert "Traceback" not in stderr
    assert provider.seen()["requests"] == 0


def test_budget_of_the_data_folder_needs_a_price(provider: FakeProvider, texts: Path) -> None:
    """Where the ledger has a budget, a model without a price ends the run with that error, not with a list of texts."""
    assert CliRunner().invoke(app, ["budgets", "set", "5 USD / day"]).exit_code == 0
    status, shown, _ = run(texts, teacher=provider.remote("unpriced"))
    assert (status, shown["error"]["code"], provider.seen()["requests"]) == (2, "unknown_price", 0)
