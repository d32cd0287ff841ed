"""`nanosmith ls` and `nanosmith show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.store.bundles import add_files
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle

REPORT = {"accuracy": 0.9375, "macro_f1": 0.9, "n": 160, "latency_ms": {"p50": 0.5, "p95": 1.25}, "wrong": [1, 2]}


def call(*words: str) -> Result:
    return CliRunner().invoke(app, words, env={"COLUMNS": "120"})


@pytest.fixture
def models(home: Home) -> Home:
    """Two models, the newer with a report."""
    home.bundles.mkdir()
    ledger = Ledger(home.ledger)
    for i, name in enumerate(("older", "ft:gpt-4.1-nano:local:[shop]:abcdefgh")):
        bundle = tiny_bundle(home.bundles / f"b{i}", name=name)
        if i:
            bundle = add_files(bundle, {"report.json": json.dumps(REPORT).encode()})
        ledger.add_model(ModelRow(name, 1_700_000_000 + i, f"b{i}", bundle.digest, "none", job_id=f"ftjob-{i}"))
    ledger.close()
    return home


def test_empty_folder(home: Home) -> None:
    """Nothing there: a hint for people, an empty list for scripts, and no database is made."""
    assert "nanosmith tune" in call("ls").stdout
    assert json.loads(call("ls", "--json").stdout) == []
    assert not home.ledger.exists()


def test_list_for_scripts(models: Home) -> None:
    """Newest first, with what manifest and report say."""
    newer, older = json.loads(call("ls", "--json").stdout)
    assert newer["name"] == "ft:gpt-4.1-nano:local:[shop]:abcdefgh"
    assert (newer["kind"], newer["labels"], newer["accuracy"], newer["job"]) == ("choice", 3, 0.9375, "ftjob-1")
    assert newer["bytes"] > 0
    assert newer["problem"] is None
    assert Path(newer["bundle"]).is_dir()
    assert (older["name"], older["accuracy"]) == ("older", None)


def test_list_for_people(models: Home) -> None:
    """A row per model; brackets in a name are not taken for markup."""
    lines = call("ls").stdout.splitlines()
    [row] = [line for line in lines if "abcdefgh" in line]
    assert "[shop]" in row
    assert "93.8 %" in row
    assert "choice" in row
    assert any(line.strip().startswith("older") for line in lines)


def test_other_home(models: Home, tmp_path: Path) -> None:
    """--home names another data folder."""
    assert json.loads(call("ls", "--json", "--home", str(tmp_path / "other")).stdout) == []
    assert len(json.loads(call("ls", "--json", "--home", str(models.root)).stdout)) == 2


def test_damaged_model_is_listed(models: Home) -> None:
    """A model whose manifest is broken does not hide the others."""
    (models.bundles / "b0" / "manifest.json").write_text("{")
    newer, older = json.loads(call("ls", "--json").stdout)
    assert newer["problem"] is None
    assert (older["kind"], "cannot be read" in older["problem"]) == (None, True)
    assert "damaged" in call("ls").stdout


def test_broken_report_is_no_report(models: Home) -> None:
    """A report that cannot be read shows no accuracy."""
    (models.bundles / "b1" / "report.json").write_text("[")
    assert json.loads(call("ls", "--json").stdout)[0]["accuracy"] is None


def test_show_for_scripts(models: Home) -> None:
    """The whole manifest, and the figures of the report without its rows."""
    shown = json.loads(call("show", "ft:gpt-4.1-nano:local:[shop]:abcdefgh", "--json").stdout)
    assert shown["manifest"]["task"]["labels"] == ["delivery", "login", "refund"]
    assert shown["report"] == {key: value for key, value in REPORT.items() if key != "wrong"}
    assert shown["bytes"] == sum(entry["bytes"] for entry in shown["manifest"]["files"].values())


def test_show_for_people(models: Home) -> None:
    """Lines of heading and value, by name or by folder."""
    text = call("show", "ft:gpt-4.1-nano:local:[shop]:abcdefgh").stdout
    for words in ("3: delivery, login, refund", "static/1", "93.8 %", "160 examples", "p50 0.50 ms"):
        assert words in text
    assert call("show", str(models.bundles / "b1")).stdout == text
    assert "none; make one" in call("show", "older").stdout


def test_show_unknown_name(models: Home) -> None:
    """Exit code 2 and near names."""
    result = call("show", "oldr")
    assert result.exit_code == 2
    assert "Did you mean older?" in result.output


def test_show_damaged_bundle(models: Home) -> None:
    """A changed file is refused with exit code 1, as JSON with --json."""
    (models.bundles / "b0" / "tokenizer.json").write_text("{}")
    result = call("show", "older", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout.splitlines()[-1])["error"]["code"] == "damaged_bundle"
