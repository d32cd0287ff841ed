"""`nanosmith autopilot` and `nanosmith captured`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.core.example import Message
from nanosmith.data.load import load
from nanosmith.store.captures import Capture, as_document
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.testing import topic_rows


@pytest.fixture
def home(home: Home) -> Home:
    """A data folder with a route."""
    (home.root / "nanosmith.toml").write_text('[route.support]\ncapture = true\nsteps = [{ model = "big" }]\n')
    return home


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


def test_captured_as_json(home: Home, tmp_path: Path) -> None:
    """One object tells the file and the counts; where nothing can be learnt, the error does, and nothing is written."""
    out = tmp_path / "out.jsonl"
    nothing = run("captured", "support", "--out", str(out), "--json")
    assert (nothing.exit_code, json.loads(nothing.stdout)["error"]["code"]) == (2, "no_traffic")
    assert not out.exists()
    one = Capture("c", (Message("user", "where is my money"),), "refund", "big", 1, is_last=True)
    with closing(open_ledger(home)) as ledger:
        ledger.add(as_document("support", one))
    said = json.loads(run("captured", "support", "--out", str(out), "--json").stdout)
    assert said == {"out": str(out), "examples": 1, "captured": 1}


def test_routes_that_learn_nothing(home: Home) -> None:
    """A mistyped route or project is an error; a route that nanosmith.toml does not let learn is warned of."""
    mistyped = run("autopilot", "suport", "--once")
    assert (mistyped.exit_code, "support" in mistyped.stderr) == (2, True)
    assert run("captured", "suport", "--out", "out.jsonl").exit_code == 2
    assert "no such project" in run("autopilot", "support", "--status", "--project", "acme").stderr
    assert "no autopilot = true" in run("autopilot", "support", "--once").stderr


@pytest.mark.parametrize("option", [("--agreement", "2"), ("--confidence", "0"), ("--coverage", "7")])
def test_no_such_promise(home: Home, option: tuple[str, str]) -> None:
    """What cannot be promised is refused before the autopilot waits for it."""
    done = run("autopilot", "support", "--once", *option)
    assert (done.exit_code, option[0] in done.stderr) == (2, True)
