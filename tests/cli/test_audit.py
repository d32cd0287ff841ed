"""`nanosmith check --deep` and `nanosmith tune --label-errors`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.testing import topic_rows, write_chat

FIELDS = {
    "rank", "priority", "code", "file", "message", "remedy", "line", "other_file", "other_line", "text", "given",
    "suggested", "probability",
}  # fmt: skip
IBAN = "DE89 3704 0044 0532 0130 00"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """Three topics; line 5 has a wrong label, line 61 repeats line 1 with another, line 62 has an account number."""
    rows = topic_rows(60)
    rows[4] = rows[4][0], "refund"
    return write_chat(tmp_path / "train.jsonl", [*rows, (rows[0][0], "login"), (f"refund to {IBAN}", "refund")])


def test_json(train: Path, base_folder: Path, tmp_path: Path) -> None:
    """With --json there is one object whose findings have all fields, are ranked, and hold no personal data."""
    test = write_chat(tmp_path / "test.jsonl", [topic_rows(60)[7], ("quite a new one", "login")])
    result = run("check", train, "--deep", "--test", test, "--base", base_folder, "--json")
    assert result.exit_code == 0
    assert IBAN not in result.stdout
    deep = json.loads(result.stdout)["deep"]
    found = deep["findings"]
    assert all(set(one) == FIELDS for one in found)
    assert [one["rank"] for one in found] == list(range(1, len(found) + 1))
    assert [one["line"] for one in found if one["code"] == "conflicting_labels"] == [61]
    assert [one["line"] for one in found if one["code"] == "pii_iban"] == [62]
    assert [(one["file"], one["line"], one["other_line"]) for one in found if one["code"] == "shared_text"] == [
        ("test", 1, 8)
    ]
    errors = [one for one in found if one["code"] == "label_error"]
    assert all(0.5 <= one["probability"] <= 1 and one["suggested"] != one["given"] for one in errors)
    assert deep["label_errors"]["found"] == len(errors) == deep["counts"].get("label_error", 0)


def test_text(train: Path, base_folder: Path) -> None:
    """As text every finding is a line with its place, and what to do is said once per kind."""
    result = run("check", train, "--deep", "--base", base_folder)
    assert result.exit_code == 0
    assert "conflicting_labels train.jsonl:61" in result.output
    assert "pii_iban train.jsonl:62" in result.output
    assert "conflicting_labels, 1: Decide on one answer." in result.output
    assert IBAN not in result.output


def test_without_deep(train: Path) -> None:
    """Without --deep `deep` is null, and no account number is shown either."""
    result = run("check", train, "--json")
    assert json.loads(result.stdout)["deep"] is None
    assert IBAN not in result.stdout


def test_unusable_file(tmp_path: Path) -> None:
    """A file without a single example is answered with its errors, without a base, and exit code 2."""
    path = tmp_path / "d.jsonl"
    path.write_text("{}\n" * 3)
    result = run("check", path, "--deep", "--json")
    assert result.exit_code == 2
    assert {one["priority"] for one in json.loads(result.stdout)["deep"]["findings"]} == {1.0}


def test_unknown_base(train: Path) -> None:
    """A base that does not exist is a user's error."""
    result = run("check", train, "--deep", "--base", "nothing", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "not_found"


def test_tune_drops(train: Path, base_folder: Path, tmp_path: Path) -> None:
    """`tune --label-errors drop` says how many examples it dropped, and trains on the others."""
    out = tmp_path / "out"
    result = run(
        "tune", train, "--base", base_folder, "--recipe", "frozen_linear", "--label-errors", "drop", "--out", out
    )
    assert result.exit_code == 0, result.output
    assert "Likely label errors: " in result.output
    assert " dropped" in result.output
    assert (out / "manifest.json").is_file()


def test_tune_refuses_other_words(train: Path) -> None:
    """Only keep, drop and downweight are known."""
    assert run("tune", train, "--label-errors", "fix").exit_code == 2
