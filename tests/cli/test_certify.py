"""`nanosmith certify` with tiny bundles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.testing import tiny_bundle

FIELDS = {"feasible", "threshold", "coverage", "bound", "n", "certificate"}


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(tiny_bundle(tmp_path / "tiny").path)


def texts(path: Path, n: int) -> str:
    rows = ({"text": f"my {('refund', 'login', 'delivery')[i % 3]} {i}", "label": "ignored"} for i in range(n))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["certify", *arguments])


def test_certified(bundle: str, tmp_path: Path) -> None:
    """The one line of stdout has what scripts read; the certificate is a file that can be shown, with its sentence."""
    data = texts(tmp_path / "data.jsonl", 120)
    plot = tmp_path / "plot.svg"
    result = run(bundle, "--teacher", bundle, "--data", data, "--json", "--plot", str(plot), "--classes")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found.keys() >= FIELDS
    assert (found["feasible"], found["n"], found["coverage"], found["threshold"]) == (True, 120, 1.0, 0.0)
    assert found["bound"] == pytest.approx(0.05 ** (1 / 120))
    assert plot.read_text().count("<svg") == 1
    shown = run("--show", found["certificate"])
    assert shown.exit_code == 0
    assert "at least 97 %, with 95 % confidence, for 100 % of the traffic" in shown.stdout
    again = json.loads(run("--show", found["certificate"], "--json").stdout)
    assert again["in_service"]
    assert again["sentence"] == found["sentence"]


@pytest.mark.parametrize("as_json", [False, True])
def test_refused(bundle: str, tmp_path: Path, as_json: bool) -> None:
    """What cannot be shown ends with 1, and says why and what would do."""
    data = texts(tmp_path / "data.jsonl", 40)
    result = run(bundle, "--teacher", bundle, "--data", data, *(["--json"] if as_json else []))
    assert result.exit_code == 1
    if as_json:
        found = json.loads(result.stdout)
        assert not found["feasible"]
        assert (found["n"], found["certificate"], found["threshold"], found["more_examples"]) == (40, None, None, 59)
    assert "99" in result.stdout
    assert "59" in result.stdout


def test_less_is_asked(bundle: str, tmp_path: Path) -> None:
    """The same texts do for less agreement, or less confidence."""
    data = texts(tmp_path / "data.jsonl", 40)
    assert run(bundle, "--teacher", bundle, "--data", data, "--agreement", "0.9").exit_code == 0
    assert run(bundle, "--teacher", bundle, "--data", data, "--confidence", "0.5").exit_code == 0


def test_other_files(bundle: str, tmp_path: Path) -> None:
    """Plain lines, chat files and CSV are read, too."""
    words = [("refund", "login", "delivery")[i % 3] for i in range(100)]
    (tmp_path / "plain.txt").write_text("".join(f"my {word}\n" for word in words))
    chat = [{"messages": [{"role": "user", "content": f"my {w}"}, {"role": "assistant", "content": w}]} for w in words]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chat))
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"my {word},{word}\n" for word in words))
    for name in ("plain.txt", "chat.jsonl", "rows.csv"):
        result = run(bundle, "--teacher", bundle, "--data", str(tmp_path / name), "--json")
        assert json.loads(result.stdout)["n"] == 100, name


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "name a route"),
        (["BUNDLE"], "its teacher"),
        (["BUNDLE", "--teacher", "BUNDLE"], "no captured traffic"),
        (["BUNDLE", "--teacher", "nobody", "--data", "DATA"], "no teacher"),
        (["nowhere", "--teacher", "BUNDLE", "--data", "DATA"], "no route or model"),
        (["BUNDLE", "--teacher", "BUNDLE", "--data", "nothing.jsonl"], "no such file"),
        (["BUNDLE", "--teacher", "BUNDLE", "--data", "BAD"], ":2"),
        (["BUNDLE", "--teacher", "BUNDLE", "--data", "DATA", "--agreement", "97"], "cannot be promised"),
        (["BUNDLE", "--teacher", "BUNDLE", "--data", "DATA", "--bound", "hopeful"], "no such bound"),
        (["BUNDLE", "--teacher", "BUNDLE", "--data", "DATA", "--budget", "much"], "amount of money"),
        (["--show", "DATA"], "cannot be read"),
        (["--show", "nothing.json"], "no certificate here"),
    ],
)
def test_wrong_inputs(bundle: str, tmp_path: Path, arguments: list[str], why: str) -> None:
    """Every wrong input is one line that says what is wrong."""
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a"}\n{"text": \n{"text": "b"}\n')
    places = {"BUNDLE": bundle, "DATA": texts(tmp_path / "data.jsonl", 120), "BAD": str(bad)}
    result = run(*(places.get(one, one) for one in arguments))
    assert result.exit_code in (1, 2)
    assert why in result.stderr
    assert not isinstance(result.exception, (KeyError, ValueError, AttributeError, TypeError))
