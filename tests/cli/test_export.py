"""`nanosmith export` with a tiny bundle."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.store.bundles import open_bundle
from nanosmith.store.home import open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle, write_chat


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(tiny_bundle(tmp_path / "tiny").path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", *arguments])


def test_json(bundle: str, tmp_path: Path) -> None:
    """One object says what was written and what was found by running it; training files can be read."""
    file = write_chat(tmp_path / "texts.jsonl", [("my refund", "refund"), ("no idea", "login")])
    result = run(bundle, "--to", "onnx", "--out", str(tmp_path / "out"), "--data", str(file), "--json")
    said = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (said["target"], said["operators"]) == ("onnx", {"ai.onnx": 18})
    assert said["files"] == {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert said["checks"][0]["texts"] == said["checks"][0]["same_answer"] == 2
    assert said["checks"][0]["max_probability_difference"] < 1e-5


def test_model_of_another_data_folder(bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--home` says where the name is known; the folder is told absolute."""
    home = open_home(tmp_path / "elsewhere")
    with closing(open_ledger(home)) as ledger:
        ledger.add_model(ModelRow("tiny", 0, bundle, open_bundle(Path(bundle)).digest, "x"))
    monkeypatch.chdir(tmp_path)
    result = run("tiny", "--home", str(home.root), "--to", "onnx", "--out", "out", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["out"] == str(tmp_path / "out")


def test_lines(bundle: str, tmp_path: Path) -> None:
    """A person reads where it is, and each check in a sentence."""
    result = run(bundle, "--to", "onnx", "--out", str(tmp_path / "out"))
    assert "onnx, 10 files" in result.stdout
    assert "onnxruntime in Python:" in result.stdout
    assert "onnxruntime-node in Node: not run." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "onnx"), "Missing option '--out'"),
        (("--to", "pdf", "--out", "OUT"), "no such target"),
        (("--to", "onnx", "--out", "OUT", "--data", "none.jsonl"), "no such file"),
    ],
)
def test_wrong_arguments(bundle: str, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Wrong arguments are told before anything is written."""
    result = run(bundle, *(str(tmp_path / "out") if one == "OUT" else one for one in arguments))
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_data_without_texts(bundle: str, tmp_path: Path) -> None:
    """A file with nothing in it, or a line that is no text, is named."""
    empty, odd = tmp_path / "empty.txt", tmp_path / "odd.jsonl"
    empty.touch()
    odd.write_text('{"text": "refund"}\n{"other": 1}\n')
    out = ("--to", "onnx", "--out", str(tmp_path / "out"), "--data")
    assert "nothing to compare answers on" in run(bundle, *out, str(empty)).stderr
    assert "odd.jsonl:2" in run(bundle, *out, str(odd)).stderr
