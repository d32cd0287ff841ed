"""The command, with the contender that is quickest, and the protocol of the workers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from bench.accuracy import __main__ as command
from bench.accuracy import results
from bench.accuracy.contender import Setup
from bench.accuracy.sets import SETS
from bench.accuracy.worker import FOLDER, Process, request

from nanosmith.testing.tiny_base import save_tiny_base

WORKER = f"""
import sys
sys.path.insert(0, {str(FOLDER)!r})
from lines import serve
def train(request):
    print("noise on stdout")
    return lambda texts: [[len(text), request["seed"]] for text in texts], {{"seconds": 1.5}}
serve(train)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_base(tmp_path_factory.mktemp("base"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> object:
    """The exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["accuracy", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return ended.value.code


def test_a_run_goes_on_where_it_was(
    folder: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is there is not run again: only the set that is new, and of a contender without a seed one run."""
    out = folder / "r.jsonl"
    common = ("--data", folder, "--base", base, "--contenders", "tfidf_svm", "--out", out, "--seeds", 0, 1)
    assert run(monkeypatch, *common, "--sets", "clinc150", "--shots", "5") == 0
    first = results.read(out)
    assert [(one["set"], one["shots"], one["seed"]) for one in first] == [("clinc150", "5", 0)]
    assert first[0]["figures"]["accuracy"] == 100.0
    assert run(monkeypatch, *common, "--sets", "clinc150", "--shots", "5", "10") == 0
    assert run(monkeypatch, *common, "--sets", "clinc150_flipped") == 0
    assert results.read(out)[:1] == first
    assert [(one["set"], one["shots"], one["seed"]) for one in results.read(out)[1:]] == [
        ("clinc150", "10", 0), ("clinc150_flipped", "full", 0), ("clinc150_flipped", "full", 1)]  # fmt: skip
    assert "| CLINC150, in scope, 5 per label | **100.00 ± 0.00** |" in out.with_suffix(".md").read_text()


def test_a_contender_that_fails_does_not_end_the_run(
    folder: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The others go on, the status tells it, and no result is written for it."""
    out = folder / "r.jsonl"
    (folder / "clinc150" / "train_5shot.jsonl").unlink()
    common = ("--data", folder, "--base", base, "--contenders", "tfidf_svm", "--out", out, "--seeds", 0)
    assert run(monkeypatch, *common, "--sets", "clinc150", "--shots", "5", "10") == 1
    assert [one["shots"] for one in results.read(out)] == ["10"]
    assert "train_5shot.jsonl" in capfd.readouterr().err


def test_worker_answers_lines(tmp_path: Path, folder: Path) -> None:
    """A worker trains, then answers as often as it is asked; what else it prints is no answer."""
    script = tmp_path / "w.py"
    script.write_text(WORKER)
    trial = SETS["snips_joined"].make(folder, "full", 3)
    setup = Setup(3, tmp_path, tmp_path, tmp_path, None, sys.executable, 100)
    process = Process(sys.executable, str(script), request(trial, setup, epochs=1, iterations=1))
    assert process.trained == {"seconds": 1.5}
    assert process.scores(["a", "bcd"]).tolist() == [[1, 3], [3, 3]]
    assert process.scores(["ab"]).tolist() == [[2, 3]]
    process.close()


def test_recipe_in_a_worker(tmp_path: Path, folder: Path, base: Path) -> None:
    """tune_encoder alone gives probabilities of the labels in their order, and the time that it took."""
    trial = SETS["clinc150"].make(folder, "5", 0)
    setup = Setup(0, tmp_path, tmp_path, base, None, sys.executable, 100)
    process = Process(sys.executable, "tune_encoder_worker.py", request(trial, setup, epochs=2, iterations=1))
    found = process.scores([row["text"] for row in trial.train])
    process.close()
    assert process.trained["seconds"] > 0
    assert found.shape == (15, 3)
    assert np.allclose(found.sum(axis=1), 1)
