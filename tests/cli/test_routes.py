"""`nanosmith routes`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nanosmith.cli.main import app
from nanosmith.store.config import FILE_NAME, VARIABLE
from nanosmith.store.home import open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle

ROUTE = """
[route.support]
[[route.support.steps]]
model = "support-nano"
accept = 0.9
[[route.support.steps]]
model = "openai/gpt-5-mini"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (VARIABLE, "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NANOSMITH_HOME", str(tmp_path / "home"))


def run(*given: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["routes", *given])
    return result.exit_code, result.output


def test_there_are_none_yet() -> None:
    """It says how to write one."""
    assert run() == (0, "No routes yet. Write [route.NAME] into nanosmith.toml; docs/routes.md has the form.\n")


def test_steps_and_what_is_wrong_with_them() -> None:
    """A local model that is not there, a key that is missing."""
    Path(FILE_NAME).write_text(ROUTE)
    code, output = run("--json")
    shown = json.loads(output)
    local, remote = shown["routes"][0]["steps"]
    assert (code, local["accept"], local["remote"], remote["remote"]) == (0, 0.9, False, True)
    assert "no local model of this name" in local["problem"]
    assert "OPENAI_API_KEY" in remote["problem"]
    code, output = run()
    assert code == 0
    assert "support-nano" in output


def test_a_threshold_that_nothing_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote model without probabilities is never sure enough."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    Path(FILE_NAME).write_text(ROUTE + 'accept = 0.5\n[[route.support.steps]]\nmodel = "openai/gpt-4o"\n')
    _, output = run("--json")
    steps = json.loads(output)["routes"][0]["steps"]
    assert "gives no probabilities" in steps[1]["problem"]
    assert steps[2]["problem"] is None


def test_what_else_can_stand_in_the_way(tmp_path: Path) -> None:
    """A route as a step, a certified step without a certificate or of a remote model, and one that privacy forbids."""
    bundle = tiny_bundle(tmp_path / "home" / "bundles" / "tiny")
    with closing(open_ledger(open_home())) as ledger:
        ledger.add_model(ModelRow("tiny", 0, "tiny", bundle.digest, "x"))
    text = ROUTE + 'trusted = true\n[route.other]\nprivacy = "always"\n'
    for step in ('model = "support"', 'model = "tiny"\naccept = "certified"', 'model = "openai/gpt-5-mini"'):
        text += f"[[route.other.steps]]\n{step}\n"
    Path(FILE_NAME).write_text(text.replace("accept = 0.9", 'accept = "certified"'))
    support, other = json.loads(run("--json")[1])["routes"]
    assert "no local model of this name" in support["steps"][0]["problem"]
    wanted = ("this is a route, and a step is a model", "no certificate", "OPENAI_API_KEY")
    for step, said in zip(other["steps"], wanted, strict=True):
        assert said in step["problem"]


def test_steps_that_are_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote model of a private route, and one that cannot be certified."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    text = '[route.private]\nprivacy = "always"\n[[route.private.steps]]\nmodel = "openai/gpt-5-mini"\n'
    text += ROUTE.replace('model = "support-nano"\naccept = 0.9', 'model = "openai/gpt-4o"\naccept = "certified"')
    Path(FILE_NAME).write_text(text)
    private, support = json.loads(run("--json")[1])["routes"]
    assert "never asked" in private["steps"][0]["problem"]
    assert "is for a local model" in support["steps"][0]["problem"]


def test_a_broken_file() -> None:
    """Exit code 2, and the place."""
    Path(FILE_NAME).write_text(ROUTE.replace("0.9", "9"))
    code, output = run("--json")
    assert code == 2
    assert "steps[0].accept" in output


def test_a_server_that_is_not_there() -> None:
    """Is an error, not a traceback."""
    Path(FILE_NAME).write_text(ROUTE)
    code, output = run("--url", "http://127.0.0.1:9/v1")
    assert code == 1
    assert "does not tell how its routes are" in output
