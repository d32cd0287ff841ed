"""`nanosmith eval` with a tiny bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.score.render import html as html_module
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle, write_chat
from nanosmith.testing.tiny import tiny_scope

ROWS = [("my refund", "refund"), ("the login page", "login"), ("no idea", "login")]


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(tiny_bundle(tmp_path / "tiny").path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write_chat(tmp_path / "test.jsonl", ROWS))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments])


def test_json(bundle: str, file: str) -> None:
    """The last line of stdout is one object with the fields that scripts read; progress goes to stderr."""
    result = run(bundle, file, "--json")
    (line,) = result.stdout.splitlines()
    report = json.loads(line)
    assert result.exit_code == 0
    assert (report["n"], report["accuracy"]) == (3, pytest.approx(2 / 3))
    assert 0 < report["macro_f1"] <= 1
    assert (report["micro_f1"], report["ece"]) == (report["accuracy"], report["calibration"]["ece"])
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p95"]
    assert report["bytes"] > 0
    assert "evaluate" in result.stderr


def test_sets_of_labels(tmp_path: Path) -> None:
    """A bundle that answers with sets is measured on rows of text and labels: whole sets, and single decisions."""
    bundle = str(tiny_bundle(tmp_path / "sets", kind="labels").path)
    rows = [("refund and login", ["login", "refund"]), ("my login", ["login", "refund"]), ("delivery", ["delivery"])]
    file = tmp_path / "sets.jsonl"
    file.write_text("".join(json.dumps({"text": text, "labels": labels}) + "\n" for text, labels in rows))
    report = json.loads(run(bundle, str(file), "--json").stdout)
    assert (report["kind"], report["accuracy"]) == ("labels", pytest.approx(2 / 3))
    assert report["micro_f1"] == pytest.approx(8 / 9)
    assert 0 < report["macro_f1"] < 1
    assert 0 <= report["ece"] <= 1


def test_text(bundle: str, file: str) -> None:
    """Without --json the report is readable text."""
    result = run(bundle, file)
    assert result.exit_code == 0
    assert result.stdout.startswith("tiny (choice)\n  accuracy")


def test_html(bundle: str, file: str, tmp_path: Path) -> None:
    """--html writes the page, folders included; stdout stays as it is."""
    page = tmp_path / "made" / "report.html"
    result = run(bundle, file, "--json", "--html", str(page))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["n"] == 3
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_page_that_cannot_be_written(bundle: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder as --html, or a missing package, is found before any example is answered."""
    result = run(bundle, file, "--html", str(tmp_path))
    assert (result.exit_code, "evaluate 1" in result.stderr) == (2, False)
    monkeypatch.setattr(html_module, "find_spec", lambda name: None)
    result = run(bundle, file, "--html", str(tmp_path / "page.html"))
    assert result.exit_code == 1
    assert "pip install 'nanosmith[train]'" in result.stderr


def test_own_prices(bundle: str, file: str, tmp_path: Path) -> None:
    """--prices replaces the price table; a bad one is the user's error."""
    prices = tmp_path / "prices.toml"
    prices.write_text('date = "2031-02"\nsource = "us"\n[core_hour]\nusd = 0.01\n', encoding="utf-8")
    assert json.loads(run(bundle, file, "--prices", str(prices), "--json").stdout)["cost"]["source"] == "us"
    prices.write_text("date =", encoding="utf-8")
    assert run(bundle, file, "--prices", str(prices)).exit_code == 2


def test_model_by_name(tmp_path: Path, file: str, home: Home) -> None:
    """A name in the ledger stands for its bundle; a name that is nearly right gets a hint and exit code 2."""
    bundle = tiny_bundle(tmp_path / "tiny")
    ledger = Ledger(home.ledger)
    ledger.add_model(ModelRow("support", 1, str(bundle.path), bundle.digest, "minilm-l6"))
    ledger.close()
    assert run("support", file, "--json").exit_code == 0
    result = run("suport", file)
    assert result.exit_code == 2
    assert "Did you mean support?" in result.stderr


def test_wrong_file(bundle: str, tmp_path: Path) -> None:
    """A file that is not there is named, without a traceback."""
    result = run(bundle, str(tmp_path / "absent.jsonl"))
    assert result.exit_code == 2
    assert "absent.jsonl" in result.stderr
    assert "Traceback" not in result.stderr


def test_out_of_scope_examples(bundle: str, tmp_path: Path) -> None:
    """They are left out of the accuracy, and their figures are at the top too; the bundle need not know of any."""
    file = str(write_chat(tmp_path / "oos.jsonl", [*ROWS, ("what is love", "none"), ("sing", "none")]))
    report = json.loads(run(bundle, file, "--oos-label", "none", "--json").stdout)
    assert (report["n"], report["accuracy"]) == (3, pytest.approx(2 / 3))
    assert (report["scope"]["outside"], report["oos_recall"]) == (2, None)
    assert 0 <= report["oos_auroc"] <= 1


def test_out_of_scope_examples_of_a_bundle_with_a_score(tmp_path: Path) -> None:
    """The label that the bundle answers with need not be named again."""
    bundle = str(tiny_bundle(tmp_path / "scoped", scope=tiny_scope("none")).path)
    known = [("refund", "refund"), ("login", "login")]
    file = str(write_chat(tmp_path / "oos.jsonl", [*known, ("what is love", "none"), ("sing", "none")]))
    report = json.loads(run(bundle, file, "--json").stdout)
    assert (report["oos_auroc"], report["oos_recall"], report["scope"]["refused"]) == (1.0, 1.0, 0.0)
    text = run(bundle, file, "--html", str(tmp_path / "page.html")).stdout
    assert "of 2 others 100.0 % are refused" in text
    assert "Out of scope" in (tmp_path / "page.html").read_text()


def test_deep(bundle: str, file: str, tmp_path: Path) -> None:
    """--deep adds typos, the attack and swapped groups to JSON, text and page; the seed is told."""
    page = tmp_path / "report.html"
    report = json.loads(run(bundle, file, "--deep", "--seed", "5", "--json", "--html", str(page)).stdout)
    assert (report["robustness"]["n"], report["robustness"]["seed"]) == (3, 5)
    assert 0 <= report["robustness"]["attack"]["kept"] <= 1
    assert {row["axis"] for row in report["fairness"]["axes"]} >= {"gender", "name", "religion"}
    assert "Names and groups swapped" in page.read_text(encoding="utf-8")
    text = run(bundle, file, "--deep").stdout
    assert "Typos, on a sample of 3" in text
    assert json.loads(run(bundle, file, "--json").stdout)["robustness"] is None
