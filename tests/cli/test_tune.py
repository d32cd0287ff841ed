"""`nanosmith tune` as a command; the flow behind it is replaced by one that seals a tiny bundle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.core.prediction import Predictor
from nanosmith.core.settings import TuneSettings
from nanosmith.flows import assemble
from nanosmith.predict.open import open_predictor
from nanosmith.score.evaluate import evaluate
from nanosmith.store.bundles import Bundle
from nanosmith.store.home import Home
from nanosmith.testing import tiny_bundle, topic_rows, write_chat


class Tuned(msgspec.Struct):
    """What the flow gives back."""

    bundle: Bundle
    report: Any
    model_name: str
    recipe: str
    trained_tokens: int = 0


class FakeFlow:
    """Seals a tiny bundle, shows some progress, and keeps what it was called with."""

    def __init__(self) -> None:
        self.called: dict[str, Any] = {}

    def tune(
        self, train: Path, *, test: Path | None, settings: TuneSettings, home: Home, out: Path | None, watch: Any
    ) -> Tuned:
        self.called = {"train": train, "test": test, "settings": settings, "home": home, "out": out}
        watch.message("recognised: choice")
        watch.progress("tune", 1, 1)
        name = settings.name or "mine"
        bundle = tiny_bundle(out or home.root / name, name=name)
        return Tuned(bundle, _report(open_predictor(bundle)), name, "static/1")


def _report(predictor: Predictor) -> Any:
    return evaluate(predictor, ["refund", "login"], ["refund", "login"], bytes=1000)


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch) -> FakeFlow:
    """The flow that `nanosmith tune` calls, without torch."""
    fake = FakeFlow()
    module = types.ModuleType("nanosmith.flows.tune")
    module.tune = fake.tune  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nanosmith.flows.tune", module)
    return fake


@pytest.fixture
def train(tmp_path: Path) -> str:
    return str(write_chat(tmp_path / "train.jsonl", topic_rows()))


def tune(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["tune", *arguments])


def test_settings_reach_the_flow(flow: FakeFlow, train: str, tmp_path: Path) -> None:
    """Every option arrives in the settings or the arguments of the flow."""
    options = "--test t.jsonl --size nano --budget 5m --seed 3 --recipe static/1 --kind labels --epochs 2 --name n"
    result = tune(
        train, *options.split(), "--base", "folder", "--out", str(tmp_path / "out"), "--home", str(tmp_path / "home")
    )
    assert result.exit_code == 0, result.output
    assert flow.called == {
        "train": Path(train),
        "test": Path("t.jsonl"),
        "settings": TuneSettings(
            size="nano", budget_s=300, seed=3, recipe="static/1", kind="labels", base="folder", epochs=2, name="n"
        ),
        "home": Home((tmp_path / "home").resolve()),
        "out": tmp_path / "out",
    }


def test_combined(flow: FakeFlow, train: str) -> None:
    """--combined asks for a model that recognises joined queries."""
    assert tune(train, "--combined").exit_code == 0
    assert flow.called["settings"] == TuneSettings(combined=True)


def test_going_on_from_an_earlier_model(flow: FakeFlow, train: str) -> None:
    """The earlier model, its old examples, and whether these are kept reach the flow."""
    assert tune(train, "--base", "support", "--replay", "old.jsonl", "--no-keep-examples").exit_code == 0
    assert flow.called["settings"] == TuneSettings(base="support", replay="old.jsonl", keep_examples=False)


def test_defaults_are_the_settings_defaults(flow: FakeFlow, train: str, own_home: Path) -> None:
    """Without options the flow gets the settings as they are by default, and the data folder of the environment."""
    assert tune(train).exit_code == 0
    assert flow.called["settings"] == TuneSettings()
    assert flow.called["home"] == Home(own_home.resolve())


def test_json_is_the_last_line(flow: FakeFlow, train: str, tmp_path: Path) -> None:
    """With --json the last line of stdout is one object with the bundle, the task, the recipe and the report."""
    result = tune(train, "--test", train, "--out", str(tmp_path / "out"), "--json")
    shown = json.loads(result.stdout.splitlines()[-1])
    assert (shown["bundle"], shown["task"], shown["recipe"], shown["name"]) == (
        str(tmp_path / "out"), "choice", "static/1", "mine",
    )  # fmt: skip
    assert {"n", "accuracy", "macro_f1", "micro_f1", "ece", "latency_ms", "bytes"} <= shown["report"].keys()
    assert shown["seconds"] >= 0


def test_report_and_next_steps(flow: FakeFlow, train: str, tmp_path: Path) -> None:
    """Without --json stdout holds the report, where the bundle is, and what to do next; progress is on stderr."""
    result = tune(train, "--test", train, "--out", str(tmp_path / "out"))
    assert "ccuracy" in result.stdout
    assert f'nanosmith predict "{tmp_path / "out"}"' in result.stdout
    assert "nanosmith serve" in result.stdout
    assert "recognised: choice" in result.stderr
    assert "recognised: choice" not in result.stdout


def test_missing_extra_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without torch not even the file is read, and the message holds the pip line."""
    monkeypatch.setattr(assemble, "TRAIN_MODULES", ("not_a_package",))
    result = tune(str(tmp_path / "absent.jsonl"))
    assert result.exit_code == 1
    assert "pip install 'nanosmith[train]'" in result.stderr


@pytest.mark.parametrize(
    "options", [["--budget", "soon"], ["--size", "huge"], ["--seed", "-1"], ["--epochs", "0"], ["--kind", "essay"]]
)
def test_wrong_options(flow: FakeFlow, train: str, options: list[str]) -> None:
    """A value that is not allowed is wrong input: exit code 2, and nothing runs."""
    assert tune(train, *options).exit_code == 2
    assert flow.called == {}


SLOW = """
    import sys, tempfile, time, types
    from pathlib import Path

    def tune(train, *, test, settings, home, out, watch):
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".part-"):
            watch.progress("tune", 0, 100)
            time.sleep(60)

    flow = types.ModuleType("nanosmith.flows.tune")
    flow.tune = tune
    sys.modules["nanosmith.flows.tune"] = flow
    sys.argv = ["nanosmith", "tune", *sys.argv[1:]]
    from nanosmith.cli.main import main
    main()
"""


@pytest.mark.parametrize(
    ("sent", "code", "said"), [(signal.SIGINT, 130, "nanosmith: stopped\n"), (signal.SIGTERM, 143, "")]
)
def test_stopped_in_the_middle(train: str, tmp_path: Path, sent: signal.Signals, code: int, said: str) -> None:
    """Ctrl-C and `kill` leave no bundle and no temporary folder, and exit as shells expect."""
    folder = tmp_path / "models"
    folder.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(SLOW), train, "--out", str(folder / "mine")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert process.stderr.readline() == "tune 0/100\n"
        assert list(folder.iterdir())
        process.send_signal(sent)
        assert process.wait(timeout=30) == code
        assert process.stderr.read() == said
    assert list(folder.iterdir()) == []
