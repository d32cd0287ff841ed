"""`nanosmith autopilot` and `nanosmith captured`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.core.example import Message
from nanosmith.data.load import load
from nanosmith.store.captures import Capture, as_document
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.testing import topic_rows


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_nothing_to_do(home: Home) -> None:
    """A look at a route without traffic ends with what it waits for; the trail is empty."""
    done = run("autopilot", "support", "--once", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["phase"] == "observe"
    assert run("autopilot", "support", "--status").stdout.strip() == "Nothing was decided yet."


def test_retreat_is_in_the_trail(home: Home) -> None:
    """What a person decided is shown as what the autopilot decides."""
    assert run("autopilot", "support", "--retreat").exit_code == 0
    (row,) = json.loads(run("autopilot", "support", "--status", "--json").stdout)
    assert (row["phase"], row["why"]) == ("observe", "withdrawn by hand")


def test_captured(home: Home, tmp_path: Path) -> None:
    """The captured traffic of a route becomes a training file."""
    rows = [
        as_document("support", Capture(f"c{i}", (Message("user", text),), label, "big", i, is_last=True))
        for i, (text, label) in enumerate(topic_rows(30))
    ]
    with closing(open_ledger(home)) as ledger:
        ledger.add(*rows)
    done = run("captured", "support", "--out", str(tmp_path / "out.jsonl"), "--most", "20")
    assert "20 examples from 30 captured requests" in done.stdout
    assert len(load(tmp_path / "out.jsonl")) == 20
