"""`nanosmith import`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.server.migration import exports
from typer.testing import CliRunner, Result

from nanosmith.cli.import_ import Late
from nanosmith.cli.main import app
from nanosmith.core.watch import Watch
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, words)], env={"COLUMNS": "200"})


def run_json(*words: object) -> Any:
    return json.loads(run(*words, "--json").stdout)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return exports.save_all(tmp_path / "export")


def test_plan(export: Path, home: Home) -> None:
    """Without --apply what becomes what is told, and nothing is made."""
    done = run(export)
    assert done.exit_code == 0, done.output
    for part in (
        "train.jsonl: 30 chat examples, task choice, 3 labels",
        "file (purpose fine-tune)",
        "3 stored completions",
        "stored completions, and a file with 3 training examples",
        "eval eval_67abd54d9b0081909a86353f6fb9317a",
        "fine-tuning job of a local model (size nano, base minilm-l6)",
        "vendors do not hand them out",
        "Nothing was changed. To import these 5: the same command with --apply",
    ):
        assert part in done.stdout
    ledger = Ledger(home.ledger)
    assert (ledger.files(), ledger.jobs()) == ([], [])
    ledger.close()


@pytest.mark.parametrize("option", ["--apply", "--yes"])
def test_apply(export: Path, option: str) -> None:
    """With --apply the same is made, and a second run says that it is there."""
    done = run(export, option)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("imported ") == 5
    assert "`nanosmith serve` works off the jobs." in done.stdout
    assert run_json(export)["counts"] == {"ready": 0, "done": 5, "blocked": 0, "left": 0}


def test_json(export: Path, tmp_path: Path) -> None:
    """--json prints, and --plan writes, every item with its state."""
    path = tmp_path / "plans" / "plan.json"
    printed = run_json(export, "--plan", path)
    assert json.loads(path.read_text()) == printed
    assert printed["counts"]["ready"] == 5
    job = next(item for item in printed["items"] if item["kind"] == "job")
    assert (job["name"], job["source"], job["state"], job["made"]) == ("job ftjob-abc123", "jobs.json", "ready", [])


def test_blocked(export: Path, tmp_path: Path) -> None:
    """What is blocked gives exit code 2 and a remedy that works; the rest is imported all the same."""
    (export / "files.json").unlink()
    done = run(export, "--apply")
    assert done.exit_code == 2
    assert "job ftjob-abc123: file-train1: it is not known which file this is. Say so with --file" in done.stdout
    assert done.stdout.count("imported ") == 4
    train, valid = export / "train.jsonl", export / "valid.jsonl"
    done = run(export, "--apply", "--file", f"file-train1={train}", "--file", f"file-valid1={valid}")
    assert done.exit_code == 0, done.output


def test_project(export: Path) -> None:
    """--project names who gets it; one that is not there is an error."""
    assert CliRunner().invoke(app, ["projects", "add", "team"]).exit_code == 0
    assert run(export, "--apply", "--project", "team").exit_code == 0
    assert run_json(export, "--project", "team")["counts"]["done"] == 5
    assert run_json(export)["counts"]["ready"] == 5
    wrong = run(export, "--project", "teem")
    assert wrong.exit_code == 2
    assert "no such project" in wrong.stderr


def test_wrong_arguments(tmp_path: Path) -> None:
    """Nothing to read is exit code 2 with one line on stderr; also a path that is not there, and half an option."""
    for words in ((tmp_path / "absent",), (tmp_path / "own",), (tmp_path, "--file", "file-abc")):
        (tmp_path / "own").mkdir(exist_ok=True)
        done = run(*words)
        assert done.exit_code == 2, done.output
        assert len(done.stderr.strip().splitlines()) == 1


def test_hostile_names(tmp_path: Path) -> None:
    """Control characters in what the files hold do not reach the terminal."""
    path = exports.save(tmp_path / "job.json", exports.job(id="ftjob-\x1b[31m", training_file="\x1b]0;x\x07"))
    done = run(path)
    assert done.exit_code == 2
    assert "\x1b" not in done.stdout


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """A file whose name is not UTF-8 is imported under a name that is."""
    (tmp_path / "d").mkdir()
    train = exports.write_chat(tmp_path / "train.jsonl", exports.topic_rows(30))
    train.rename(os.fsdecode(os.fsencode(tmp_path) + b"/d/gr\xfcn.jsonl"))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/d/\xfc.txt")).touch()
    for words in ((), ("--json",), ("--apply",)):
        done = run(tmp_path / "d", *words)
        assert done.exit_code == 2, done.output
        assert "is empty" in done.stdout
    assert "imported file-" in done.stdout


def test_plan_beside_the_files(export: Path) -> None:
    """A plan that was written into the folder does not disturb the next import."""
    assert run(export, "--plan", export / "plan.json").exit_code == 0
    done = run(export)
    assert done.exit_code == 0, done.output
    assert "plans of nanosmith import (1)" in done.stdout


def test_a_failure_tells_how_far_it_came(export: Path) -> None:
    """When a limit stops the import, what was done is told, and the same command goes on."""
    room = str((export / "train.jsonl").stat().st_size + 10)
    assert CliRunner().invoke(app, ["projects", "add", "small", "--storage-bytes", room]).exit_code == 0
    done = run(export, "--apply", "--project", "small")
    assert done.exit_code == 1
    assert "the project's storage is used up" in done.stderr
    assert "1 of 5 are imported; the same command goes on from here" in done.stderr
    assert CliRunner().invoke(app, ["projects", "limit", "small"]).exit_code == 0
    assert run(export, "--apply", "--project", "small").exit_code == 0


def test_without_the_server(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server is not installed, the message says what to install."""
    monkeypatch.setitem(sys.modules, "starlette", None)
    done = run(export)
    assert done.exit_code == 1
    assert "pip install 'nanosmith[serve]'" in done.stderr


def test_progress_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is shown only of what takes longer than two seconds."""
    shown: list[tuple[str, int, int]] = []

    class Recording(Watch):
        def progress(self, stage: str, done: int, total: int) -> None:
            shown.append((stage, done, total))

    now = iter([0.0, 1.9, 2.0])
    monkeypatch.setattr("nanosmith.cli.import_.time.monotonic", lambda: next(now))
    watch = Late(Recording())
    watch.progress("reading", 1, 9)
    watch.progress("reading", 2, 9)
    assert shown == [("reading", 2, 9)]
