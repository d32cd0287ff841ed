"""`nanosmith cascade`, and the other verbs on what it makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.flows.stages import examples, quick_stage, rows, thorough_stage
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.testing import write_chat


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "120"})


@pytest.fixture
def stages(tmp_path: Path) -> tuple[Path, Path]:
    return quick_stage(tmp_path / "quick").path, thorough_stage(tmp_path / "thorough").path


def test_from_two_bundles_to_answers(stages: tuple[Path, Path], tmp_path: Path) -> None:
    """The object for scripts; then the model is shown, measured, asked and explained by its name."""
    test = write_chat(tmp_path / "test.jsonl", rows(12))
    done = call("cascade", *stages, "--data", examples(tmp_path / "d.jsonl"), "--max-loss", 2, "--name", "both",
                "--test", test, "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout.splitlines()[-1])
    assert (made["name"], round(made["share"], 2), made["report"]["accuracy"]) == ("both", 0.67, 1.0)
    assert Path(made["bundle"]).is_dir()
    shown = call("show", "both").stdout
    assert "cascade/1" in shown
    assert "quick 67 % (from a confidence of" in shown
    assert json.loads(call("eval", "both", test, "--json").stdout)["accuracy"] == 1
    for text in ("a refund", "a delivery"):
        answer = json.loads(call("predict", "both", text, "--explain", "--json").stdout)
        assert answer["value"] == text.split()[1]
        assert answer["explanation"]["labels"]


def test_for_people(stages: tuple[Path, Path], tmp_path: Path) -> None:
    """What was chosen is said, with its interval and where from; without a test file there is no report."""
    done = call("cascade", *stages, "--data", examples(tmp_path / "d.jsonl"), "--max-loss", "2")
    assert done.exit_code == 0
    said = " ".join(done.output.split())
    assert "The quick stage answers 67 %" in said
    assert "95 % interval" in said
    assert "of d.jsonl" in said
    assert "No report" in said


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["cascade", "none", "none"], "no bundle or model of this name"),
        (["cascade", "{1}", "{0}"], "Name the quick one first"),
        (["cascade", "{0}", "{1}"], "too few examples"),
        (["cascade", "{0}", "{1}", "--max-loss", "-1"], "out of range"),
        (["cascade", "{0}", "{1}", "--data", "none.jsonl"], "none.jsonl"),
    ],
)
def test_errors(stages: tuple[Path, Path], words: list[str], wanted: str) -> None:
    """Said in a sentence, with the exit code of a user's error."""
    done = call(*(word.format(*stages) for word in words))
    assert done.exit_code in (2, 3, 4), done.output
    assert wanted in " ".join(done.output.split())
